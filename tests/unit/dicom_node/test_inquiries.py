"""Whom to ask how much it holds of a study, and when."""

import threading
from dataclasses import replace

import pytest

from dicom_node.domain.delivery import Destination, doubled_s
from dicom_node.domain.errors import PeerUnreachable
from dicom_node.domain.study import Sender, StudyActivity
from dicom_node.inquiries import LONGEST_PAUSE_S, LONGEST_SILENCE_S, Asked, Inquiries, is_news
from dicom_node.intake import Holding

PATIENCE_S = 30.0
PEERS = {"PACS_AE": Destination("PACS", "PACS_AE", "h", 104), "ARC_AE": Destination("ARC", "ARC_AE", "h", 105)}


def activity(study="1.2", received=14, sender="PACS_AE"):
    """A study that is being received."""
    return StudyActivity(study, 12, 0.0, 0.0, (Sender(sender, received),))


class Office:
    """Inquiries at a clock of their own, and all that was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.now = 100.0
        self.answered = threading.Semaphore(0)
        self.inquiries = Inquiries(PEERS, self._count, self.answered.release, lambda: self.now)

    def _count(self, peer, study):
        self.asked.append((peer.name, study))
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return answer
        return answer()

    def about(self, study, *, is_open=False, quiet_s=2.0):
        """What is known; then what is being asked is waited for."""
        known = self.inquiries.about(study, is_open=is_open, quiet_s=quiet_s)
        self.settle_down()
        return known

    def settle_down(self):
        """Have every question answered."""
        for thread in threading.enumerate():
            if thread.name.startswith("ask "):
                thread.join(PATIENCE_S)
                assert not thread.is_alive()


def unreachable():
    """No answer."""
    raise PeerUnreachable("no connection to PACS_AE@h:104")


def test_an_answer_is_known_afterwards_and_told_of():
    """The first call asks and does not wait; the next knows."""
    office = Office(14)
    assert office.about(activity()) == ()
    assert office.answered.acquire(timeout=PATIENCE_S)
    office.now += 0.4
    assert office.about(activity()) == (Holding("PACS", "PACS_AE", 14, 14),)
    assert office.asked == [("PACS", "1.2")]


def test_asking_keeps_nobody_waiting():
    """A peer that takes its time holds up neither the caller nor another peer; it is not asked twice at once."""
    leave = threading.Event()
    office = Office(lambda: leave.wait(PATIENCE_S) and 14, 3)
    slow, other = activity("1.2"), activity("1.3", 3, "ARC_AE")
    assert office.inquiries.about(slow, is_open=False, quiet_s=0.0) == ()
    assert office.inquiries.about(activity("1.4"), is_open=False, quiet_s=0.0) == ()
    assert office.inquiries.about(other, is_open=False, quiet_s=0.0) == ()
    assert office.answered.acquire(timeout=PATIENCE_S)  # the other's
    assert office.inquiries.about(other, is_open=False, quiet_s=0.0) == (Holding("ARC", "ARC_AE", 3, 3),)
    assert sorted(office.asked) == [("ARC", "1.3"), ("PACS", "1.2")]
    leave.set()
    office.settle_down()
    assert office.about(slow) == (Holding("PACS", "PACS_AE", 14, 14),)


def test_who_cannot_be_asked_is_not():
    """A sender that answers no queries has said nothing."""
    office = Office()
    assert office.about(activity(sender="MR1")) == ()
    assert office.asked == []


def test_all_senders_are_asked():
    """Each for itself."""
    office = Office(14, 3)
    study = replace(activity(), senders=(Sender("ARC_AE", 3), Sender("MR1", 5), Sender("PACS_AE", 14)))
    office.about(study)
    office.now += 0.1
    assert [(each.peer, each.received_count) for each in office.about(study)] == [("ARC", 3), ("PACS", 14)]


def test_the_answer_before_is_kept_beside_the_latest():
    """So that growth is seen."""
    office = Office(12, 14, 14)
    for _ in range(3):
        office.now += 10.0
        office.about(activity())
    [answer] = office.about(activity())
    assert (answer.instance_count, answer.earlier_count) == (14, 14)


def test_nobody_is_asked_in_the_middle_of_an_association():
    """Images come one after the other; a second without any may be the end, and the end of the association is."""
    office = Office(14, 14)
    office.about(activity(), is_open=True, quiet_s=0.9)
    assert office.asked == []
    office.about(activity(), is_open=True, quiet_s=1.0)
    assert len(office.asked) == 1
    office.now += 0.5
    office.about(activity(), is_open=True, quiet_s=1.5)
    assert len(office.asked) == 1
    office.about(activity(), is_open=False, quiet_s=1.5)
    assert len(office.asked) == 2


@pytest.mark.parametrize(
    ("is_open", "received", "news"),
    [(True, 14, True), (True, 13, False), (True, 12, False), (False, 12, False), (False, 13, True), (False, 14, True)],
)
def test_news_is_worth_a_question(is_open, received, news):
    """Asked with 12 there, while 14 were held: more came and none is open, or all came."""
    asked = Asked(at=0.0, number=3, received_count=12, while_open=is_open)
    assert is_news(asked, Holding("PACS", "PACS_AE", 14, 12), received, is_open=is_open) is news


def test_a_closed_association_is_news():
    """Whether or not anything came since."""
    asked = Asked(at=0.0, number=1, received_count=12, while_open=True)
    assert is_news(asked, None, 12, is_open=False)
    assert not is_news(asked, None, 12, is_open=True)


def test_a_study_is_asked_about_less_and_less_often():
    """As long as nothing of it comes; when something does, soon again."""
    office = Office(*[20] * 30)
    times = []
    for _ in range(1000):
        before = len(office.asked)
        office.about(activity())
        if len(office.asked) > before:
            times.append(office.now - 100.0)
        office.now += 0.25
    assert times == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0, 121.0, 151.0, 181.0, 211.0, 241.0]
    office.now = 100.0 + 241.5
    office.about(activity(received=15))
    assert len(office.asked) == len(times) + 1


def test_a_slow_peer_has_its_pauses_too():
    """They begin with its answer."""
    office = Office()

    def slowly():
        office.now += 20.0
        return 20

    office.answers = [slowly, 20]
    office.about(activity())
    office.now += 0.9
    office.about(activity())
    assert len(office.asked) == 1
    office.now += 0.1
    office.about(activity())
    assert len(office.asked) == 2


def test_pauses_double_up_to_a_cap():
    """Whatever the number."""
    assert [doubled_s(number, 1.0, LONGEST_PAUSE_S) for number in (1, 2, 5, 6, 5000)] == [1.0, 2.0, 16.0, 30.0, 30.0]


def test_a_silent_peer_is_left_alone(caplog):
    """About any study, longer each time; the log says what that means. When it answers, all is as before."""
    office = Office(unreachable, unreachable, 14, unreachable)
    office.about(activity("1.2"))
    office.now += 4.9
    office.about(activity("1.3"))
    assert office.asked == [("PACS", "1.2")]
    assert "Studies from PACS settle by quiet time for the next 5 s: no connection to PACS_AE" in caplog.text
    office.now += 0.1
    office.about(activity("1.3"))
    office.now += 9.9
    office.about(activity("1.4"))
    assert office.asked == [("PACS", "1.2"), ("PACS", "1.3")]
    office.now += 0.1
    office.about(activity("1.4"))
    assert len(office.asked) == 3
    assert office.answered.acquire(blocking=False)
    assert not office.answered.acquire(blocking=False)  # silence is no answer
    office.about(activity("1.5"))
    office.now += 4.9
    office.about(activity("1.4"))
    assert [study for _, study in office.asked] == ["1.2", "1.3", "1.4", "1.5"]
    assert caplog.text.count("for the next 5 s") == 2


def test_silence_has_a_cap():
    """A peer that was away for a weekend is found again within minutes."""
    office = Office(*[unreachable] * 20)
    for _ in range(12):
        office.about(activity())
        office.now += LONGEST_SILENCE_S
    assert len(office.asked) == 12


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_leaves_the_peer_to_be_asked_again():
    """What nobody foresaw ends one question only."""
    office = Office(lambda: 1 // 0, 14)
    office.about(activity())
    office.now += 1.0
    office.about(activity())
    assert len(office.asked) == 2


def test_what_was_said_long_ago_is_forgotten():
    """A study that comes again next week is a new one."""
    office = Office(14, 14)
    office.about(activity())
    office.now += 601.0
    assert office.about(activity()) == ()
    [answer] = office.about(activity())
    assert answer.earlier_count is None


def test_stopping_waits_for_answers_but_not_for_ever():
    """A peer that is silent does not hold up the end of the node."""
    leave = threading.Event()
    office = Office(lambda: leave.wait(PATIENCE_S) and 14)
    office.inquiries.about(activity(), is_open=False, quiet_s=0.0)
    office.inquiries.stop(0.0)
    stopping = threading.Thread(target=office.inquiries.stop, args=(PATIENCE_S,))
    stopping.start()
    leave.set()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()
    assert office.answered.acquire(timeout=PATIENCE_S)
