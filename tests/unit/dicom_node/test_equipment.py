"""The node knows what it has made, whatever UIDs others gave it, and takes nothing of others for its own."""

import pytest
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from dicom_node.conformance.specimens import Specimen, make
from dicom_node.domain.study import Maker
from dicom_node.equipment import equipment_of, is_own
from sr_writer.created import CREATED_KINDS
from sr_writer.provenance import derived_uid

OWN = equipment_of("AINODE")


@pytest.fixture(scope="module")
def made():
    """One result of every kind, by SOP Class UID."""
    return make(Specimen())[1]


@pytest.mark.parametrize("kind", CREATED_KINDS, ids=lambda kind: kind.modality)
def test_every_kind_of_result_is_known_by_its_maker(made, kind):
    """Under a UID that says nothing, of another installation, and as secondary capture, too."""
    result = made[kind.sop_class_uid]
    assert SecondaryCaptureImageStorage in made
    assert is_own(generate_uid(), Maker(result.Manufacturer, result.ManufacturerModelName))


@pytest.mark.parametrize(
    ("uid", "maker", "own"),
    [
        (derived_uid("x"), Maker(), True),
        ("1.2.3", Maker(OWN.manufacturer, OWN.model_name), True),
        ("1.2.3", Maker(OWN.manufacturer, "Another model"), False),
        ("1.2.3", Maker("Another vendor", OWN.model_name), False),
        ("1.2.3", Maker(f"{OWN.manufacturer} and others", OWN.model_name), False),
        ("1.2.3", Maker(), False),
    ],
)
def test_uid_or_maker_tell(uid, maker, own):
    """One of the two is enough; manufacturer and model count only together, and whole."""
    assert is_own(uid, maker) is own
