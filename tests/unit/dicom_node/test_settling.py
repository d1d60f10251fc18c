"""Which of the studies that are being received settle now, and what the others say they wait for."""

from dicom_node.domain.study import Sender, StudyActivity
from dicom_node.intake import Holding, Patience
from dicom_node.settling import settle_complete_studies


class Studies:
    """Studies that are being received, those settled, and those that say what they wait for."""

    def __init__(self, *last_received_at):
        self.activities = tuple(
            StudyActivity(f"1.2.{n}", 3, 0.0, at, (Sender("PACS", 3),)) for n, at in enumerate(last_received_at)
        )
        self.settled, self.waiting = {}, {}

    def receiving(self):
        """All of them."""
        return self.activities

    def settle(self, study_instance_uid, *, reason, now):
        """Note it."""
        self.settled[study_instance_uid] = (reason, now)

    def note_waiting(self, study_instance_uid, *, reason):
        """Note it."""
        self.waiting[study_instance_uid] = reason


class Pacs:
    """Answers, or says nothing, and remembers what it was asked."""

    def __init__(self, **counts):
        self.counts = counts
        self.asked = {}

    def about(self, activity, *, is_open, quiet_s):
        """The one answer there is."""
        self.asked[activity.study_instance_uid] = (is_open, quiet_s)
        count = self.counts.get(activity.study_instance_uid)
        return () if count is None else (Holding("PACS", "PACS", count, 3),)


def settle(studies, pacs, still_open=()):
    """At 20 s, with 5 s of quiet, 60 s at most."""
    return settle_complete_studies(
        studies, pacs, lambda _activity: Patience(5.0, 60.0), lambda uid: int(uid in still_open), now=20.0
    ).settled


def test_it_is_known_when_the_next_study_will_have_been_quiet():
    """Of those that are not settled; one that was quiet for long enough, and is still being sent, has no such time."""
    studies = Studies(10.0, 18.0, 10.0, 19.5)
    found = settle_complete_studies(
        studies, Pacs(), lambda _activity: Patience(5.0, 60.0), lambda uid: int(uid == "1.2.2"), now=20.0
    )
    assert (found.settled, found.waiting, found.next_quiet_s) == (1, {"1.2.1", "1.2.2", "1.2.3"}, 3.0)
    none = settle_complete_studies(Studies(), Pacs(), lambda _activity: Patience(5.0, 60.0), lambda _uid: 0, now=20.0)
    assert (none.settled, none.waiting, none.next_quiet_s) == (0, frozenset(), float("inf"))


def test_only_quiet_studies_without_open_associations_settle():
    """0 is quiet, 1 has had an image just now, 2 is quiet and its sender is still there."""
    studies, pacs = Studies(10.0, 18.0, 10.0), Pacs()
    assert settle(studies, pacs, still_open={"1.2.2"}) == 1
    assert list(studies.settled) == ["1.2.0"]
    reason, now = studies.settled["1.2.0"]
    assert (now, "3 images" in reason) == (20.0, True)
    assert pacs.asked == {"1.2.0": (False, 10.0), "1.2.1": (False, 2.0), "1.2.2": (True, 10.0)}
    assert studies.waiting == {}


def test_what_the_sender_says_decides():
    """0 is complete though not quiet, 1 is not though quiet, and says what is missing."""
    studies = Studies(19.9, 10.0)
    assert settle(studies, Pacs(**{"1.2.0": 3, "1.2.1": 5})) == 1
    assert studies.settled == {"1.2.0": ("3 of 3 instances that PACS holds", 20.0)}
    assert studies.waiting == {"1.2.1": "3 of 5 instances that PACS holds"}
