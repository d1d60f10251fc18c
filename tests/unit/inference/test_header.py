"""What the header states beside what the pixels show."""

from dataclasses import replace

import numpy as np
import pytest

from inference.findings import Agreement
from inference.header import compare, stated_class
from inference.stages import HeaderRule
from inference.volume import Stated
from tests.builders.packages import volume_of

VOLUME = volume_of(np.zeros((2, 4, 4)))
REGIONS = ("brain", "knee")
BODY_PART = HeaderRule(attribute="body_part", terms={"brain": ("BRAIN", "HEAD")}, indefinite=("EXTREMITY",))


@pytest.mark.parametrize(
    ("stated", "agreement", "named"),
    [
        ("BRAIN", Agreement.AGREES, "brain"),
        ("head", Agreement.AGREES, "brain"),  # terms have no case
        ("KNEE", Agreement.DISAGREES, "knee"),  # a class without terms is its own
        ("CHEST", Agreement.DISAGREES, None),  # none of the classes, and yet not what the pixels say
        ("EXTREMITY", Agreement.SILENT, None),
        ("", Agreement.SILENT, None),
    ],
)
def test_a_stated_term_agrees_disagrees_or_says_nothing(stated, agreement, named):
    """The pixels say brain."""
    volume = replace(VOLUME, stated=Stated(body_part=stated))
    check = compare("brain", REGIONS, BODY_PART, volume)
    assert (check.agreement, check.stated) == (agreement, stated.upper())
    assert stated_class(REGIONS, BODY_PART, volume) == named


def test_the_modality_is_compared_by_its_terms():
    """CR and DX are both X-rays."""
    rule = HeaderRule(attribute="modality", terms={"xr": ("CR", "DX")})
    for term in ("CR", "DX"):
        assert stated_class(("ct", "xr"), rule, replace(VOLUME, stated=Stated(modality=term))) == "xr"


def test_the_plane_is_that_of_the_geometry():
    """Without a geometry the header is silent."""
    rule, planes = HeaderRule(attribute="plane"), ("axial", "coronal", "sagittal")
    assert compare("axial", planes, rule, VOLUME).agreement is Agreement.AGREES
    assert compare("coronal", planes, rule, VOLUME).agreement is Agreement.DISAGREES
    nowhere = volume_of(np.zeros((2, 4, 4)), spacing=None)
    assert compare("axial", planes, rule, nowhere).agreement is Agreement.SILENT
