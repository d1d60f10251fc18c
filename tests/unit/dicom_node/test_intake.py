"""What an object is, and when a study is complete."""

from dataclasses import replace

import pytest
from pydicom.uid import UID_dictionary

from dicom_node.domain.study import InstanceKind, Sender, StudyActivity
from dicom_node.intake import IMAGE_STORAGE, Holding, Patience, Settled, Waiting, classify_object, is_settled

PATIENCE = Patience(quiet_seconds=5.0, at_most_seconds=300.0)
STUDY = StudyActivity("1.2", 12, first_received_at=50.0, last_received_at=100.0, senders=(Sender("PACS_AE", 14),))


def decided(now, *holdings, activity=STUDY, open_associations=0, patience=PATIENCE):
    """What is decided of the study."""
    return is_settled(activity, patience, holdings, open_associations=open_associations, now=now)


def held(count, received=14, earlier=None, ae_title="PACS_AE", peer="PACS"):
    """An answer."""
    return Holding(peer, ae_title, count, received, earlier)


@pytest.mark.parametrize(
    ("open_associations", "now", "settled"),
    [
        (0, 105.0, True),  # 105 - 100 = 5 s of quiet
        (0, 104.9, False),
        (1, 399.9, False),
        (2, 399.9, False),
        (1, 400.0, True),  # 300 s of quiet, though its sender is there
        (0, 90.0, False),  # the clock was set back
    ],
)
def test_study_settles_after_quiet(open_associations, now, settled):
    """Five seconds without an image and without an open association, both; or the bound."""
    decision = decided(now, open_associations=open_associations)
    assert isinstance(decision, Settled if settled else Waiting)
    assert decision.reason


def test_reasons_of_settling_hold_the_numbers():
    """What was judged by can be read in the reason."""
    assert decided(106.25).reason.startswith("12 images, none for 6.2 s")
    assert decided(101.0).reason == "12 images, the last 1.0 s ago; settled after 5 s without another"
    assert decided(101.0, open_associations=1).reason == "still open: 1 association that sent images of it"
    assert decided(101.0, open_associations=2).reason == "still open: 2 associations that sent images of it"
    left_open = decided(400.0, open_associations=1).reason
    assert left_open == "still open: 1 association that sent images of it; 12 images, none for 300 s"


@pytest.mark.parametrize(
    ("answer", "open_associations", "settled"),
    [
        (held(14), 0, True),
        (held(14), 1, False),  # one answer while the sender is there proves nothing
        (held(14, earlier=14), 1, True),
        (held(14, earlier=12), 1, False),
        (held(14, earlier=12), 0, False),  # it grows: the peer itself is still receiving
        (held(14, earlier=16), 0, True),
        (held(14, received=13), 0, False),  # an image has come since the question
        (held(14, received=13, earlier=14), 1, False),
        (held(15), 0, False),
        (held(13), 0, False),  # it holds less than it has sent: no word on the rest
        (held(0), 0, False),
    ],
)
def test_a_study_settles_at_once_when_its_sender_holds_no_more(answer, open_associations, settled):
    """Without any quiet time; everything from that sender counts, not only images."""
    decision = decided(100.0, answer, open_associations=open_associations)
    assert isinstance(decision, Settled if settled else Waiting)
    if settled:
        assert decision.reason == "14 of 14 instances that PACS holds"


def test_what_its_sender_still_holds_is_waited_for():
    """Longer than the quiet time, up to the bound, and then the reason says what is missing."""
    waiting = decided(399.9, held(16))
    assert waiting == Waiting("14 of 16 instances that PACS holds", peer_holds_more=True)
    assert decided(400.0, held(16)) == Settled("14 of 16 instances that PACS holds; 12 images, none for 300 s")


def test_the_bound_is_not_below_the_quiet_time():
    """Whoever sets a long quiet time gets it."""
    slow = Patience(quiet_seconds=600.0, at_most_seconds=300.0)
    assert isinstance(decided(699.0, held(16), patience=slow), Waiting)
    assert isinstance(decided(700.0, held(16), patience=slow), Settled)


@pytest.mark.parametrize("answer", [held(13), held(0), held(14, received=13)])
def test_an_answer_that_proves_nothing_leaves_it_to_the_quiet_time(answer):
    """As if there had been none."""
    assert decided(104.9, answer).reason == decided(104.9).reason
    assert decided(105.0, answer) == decided(105.0)


def test_every_sender_must_have_been_heard():
    """One that does not answer has its quiet time; one that holds more is waited for, whatever the other says."""
    two = replace(STUDY, senders=(Sender("MR_AE", 3), Sender("PACS_AE", 14)))
    of_mr = held(3, received=3, ae_title="MR_AE", peer="MR1")
    assert isinstance(decided(101.0, held(14), activity=two), Waiting)
    assert isinstance(decided(105.0, held(14), activity=two), Settled)
    both = decided(101.0, of_mr, held(14), activity=two)
    assert both == Settled("3 of 3 instances that MR1 holds; 14 of 14 instances that PACS holds")
    assert decided(105.0, of_mr, held(20), activity=two).peer_holds_more


def test_an_answer_of_somebody_else_does_not_count():
    """A peer that has sent no image of the study has no say in it."""
    assert isinstance(decided(100.0, held(14, ae_title="OTHER")), Waiting)
    nobody = replace(STUDY, senders=())
    assert isinstance(decided(100.0, held(14), activity=nobody), Waiting)


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
