"""What went over associations, gathered by study until they are over."""

from pathlib import Path

from dicom_node.admission import AssociationRequest
from dicom_node.domain.delivery import Delivery
from dicom_node.receiving import Recorded
from dicom_node.store import Receipt
from dicom_node.transfers import Dispatches, Receptions
from tests.builders.studies import OTHER, STUDY, instance

MR = "1.2.840.10008.5.1.4.1.1.4"
CALLER = AssociationRequest("PACS", "AINODE", "192.0.2.1", 0)


class Association:
    """One that runs until it is told otherwise."""

    def __init__(self):
        self.alive = True

    def is_alive(self):
        """Whether its thread runs."""
        return self.alive


def note(receptions, association, number, study=STUDY, receipt=Receipt.NEW):
    """One instance more."""
    receptions.note(association, CALLER, Recorded(instance(number, study), receipt))


def test_receptions_are_told_once_when_their_association_is_over():
    """By study; what the node held already apart from what is new, an object in conflict being new."""
    receptions, first, second = Receptions(), Association(), Association()
    for number in range(3):
        note(receptions, first, number)
    note(receptions, first, 1, receipt=Receipt.DUPLICATE)
    note(receptions, first, 2, receipt=Receipt.CONFLICT)
    note(receptions, first, 1, OTHER)
    note(receptions, second, 7)
    assert receptions.over() == ()
    first.alive = False
    told = [(each.study_instance_uid, each.known, dict(each.instances)) for each in receptions.over()]
    assert told == [(STUDY, False, {MR: 4}), (STUDY, True, {MR: 1}), (OTHER, False, {MR: 1})]
    assert receptions.over() == ()
    [last] = receptions.over(all_are=True)
    assert (last.caller, last.path) == (CALLER, instance(7).path)


def test_dispatches_are_told_by_peer_study_and_fate():
    """Those of another peer stay until it is asked for them."""
    dispatches = Dispatches()
    for number, (peer, study, failure) in enumerate(
        [("PACS", STUDY, ""), ("PACS", STUDY, ""), ("PACS", STUDY, "no"), ("PACS", OTHER, ""), ("B", STUDY, "")]
    ):
        path = Path(f"/var/results/{study}/{number}.dcm")
        dispatches.note(Delivery(number, 1, peer, path, MR, str(number), 1, None), failure)
    told = [(each.study_instance_uid, each.failure, dict(each.instances)) for each in dispatches.over("PACS")]
    assert told == [(STUDY, "", {MR: 2}), (STUDY, "no", {MR: 1}), (OTHER, "", {MR: 1})]
    assert dispatches.over("PACS") == ()
    assert [each.peer for each in dispatches.over()] == ["B"]
