"""What an object is, and when a study is complete."""

import pytest
from pydicom.uid import UID_dictionary

from dicom_node.domain.study import InstanceKind, StudyActivity
from dicom_node.intake import IMAGE_STORAGE, Settled, Waiting, classify_object, is_settled


@pytest.mark.parametrize(
    ("open_associations", "now", "settled"),
    [
        (0, 105.0, True),  # 105 - 100 = 5 s of quiet
        (0, 104.9, False),
        (1, 500.0, False),
        (2, 500.0, False),
        (0, 90.0, False),  # the clock was set back
    ],
)
def test_study_settles_after_quiet(open_associations, now, settled):
    """Five seconds without an image and without an open association, both."""
    activity = StudyActivity("1.2", 12, first_received_at=50.0, last_received_at=100.0)
    decision = is_settled(activity, open_associations=open_associations, quiet_seconds=5.0, now=now)
    assert isinstance(decision, Settled if settled else Waiting)
    assert decision.reason


def test_reasons_of_settling_hold_the_numbers():
    """What was judged by can be read in the reason."""
    activity = StudyActivity("1.2", 12, first_received_at=50.0, last_received_at=100.0)

    def reason(open_associations, now):
        return is_settled(activity, open_associations=open_associations, quiet_seconds=5.0, now=now).reason

    assert reason(0, 106.25).startswith("12 images, none for 6.2 s")
    assert reason(0, 101.0) == "12 images, the last 1.0 s ago; settled after 5 s without another"
    assert reason(1, 101.0) == "still open: 1 association that sent images of it"
    assert reason(2, 101.0) == "still open: 2 associations that sent images of it"


def test_every_registered_image_class_is_an_image():
    """The table holds every SOP class the standard calls "... Image Storage", and Enhanced US Volume Storage.

    Hard copies are prints; DICOS and DICONDE are security's and industry's own registries.
    """
    registered = {
        uid
        for uid, (name, _, info, _, _) in UID_dictionary.items()
        if "Image Storage" in name and not info and not name.startswith("Hardcopy")
    }
    assert registered | {"1.2.840.10008.5.1.4.1.1.6.2"} == IMAGE_STORAGE


@pytest.mark.parametrize(
    ("sop_class_uid", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", InstanceKind.IMAGE),
        ("1.2.840.10008.5.1.4.1.1.7", InstanceKind.IMAGE),
        ("1.2.840.10008.5.1.4.1.1.66.4", InstanceKind.NOT_AN_IMAGE),  # Segmentation
        ("1.2.840.10008.5.1.4.1.1.88.34", InstanceKind.NOT_AN_IMAGE),  # Comprehensive 3D SR
        ("1.2.840.10008.5.1.4.1.1.481.2", InstanceKind.NOT_AN_IMAGE),  # RT Dose
        ("1.3.12.2.1107.5.9.1", InstanceKind.NOT_AN_IMAGE),  # a vendor's own
        ("", InstanceKind.NOT_AN_IMAGE),
    ],
)
def test_objects_are_told_by_their_sop_class(sop_class_uid, kind):
    """Images are those of the table, unless the node made them itself."""
    assert classify_object(sop_class_uid, is_own=False) is kind
    assert classify_object(sop_class_uid, is_own=True) is InstanceKind.OWN_RESULT
