"""A clock that is set: nothing waits longer than it may, nothing is removed before its time."""

import pytest

from dicom_node.clock_watch import ClockWatch, Reading, jump_between
from dicom_node.domain.delivery import LONGEST_DELAY_S
from dicom_node.domain.job import LEASE_S
from dicom_node.retention import Limits, Retention
from dicom_node.study_folders import StudyFolders
from tests.builders.studies import OTHER, claimed, delivering, receive, settle_quiet_studies

HOUR, DAY = 3600.0, 86400.0


class Clocks:
    """The time of day, which can be set, and what has passed, which cannot."""

    def __init__(self, wall=1e6):
        self.wall, self.steady = wall, 0.0

    def pass_by(self, seconds):
        """Time goes on."""
        self.wall, self.steady = self.wall + seconds, self.steady + seconds


@pytest.fixture
def clocks():
    """Both at the start."""
    return Clocks()


@pytest.fixture
def jumps():
    """How often the schedule was told."""
    return []


@pytest.fixture
def watch(store, clocks, jumps):
    """Not started: tests look by themselves."""
    return ClockWatch(store, lambda: clocks.wall, lambda: jumps.append(1), lambda: clocks.steady)


@pytest.mark.parametrize(
    ("wall", "steady", "jump"), [(10.0, 10.0, 0.0), (11.5, 10.0, 0.0), (3610.0, 10.0, 3600.0), (-3590.0, 10.0, -3600.0)]
)
def test_a_jump_is_what_the_time_of_day_has_more_than_has_passed(wall, steady, jump):
    """Small corrections are none."""
    assert jump_between(Reading(0.0, 0.0), Reading(wall, steady)) == jump


@pytest.mark.parametrize("by", [-HOUR, HOUR, DAY, -DAY])
def test_a_quiet_time_is_what_has_passed(store, watch, clocks, jumps, by):
    """Not settled at once by a clock that is set forward, and not an hour late by one that is set back."""
    receive(store, 1, now=clocks.wall)
    clocks.pass_by(2.0)
    clocks.wall += by
    watch.look()
    assert jumps == [1]

    def settled():
        return settle_quiet_studies(store, quiet_seconds=5.0, now=clocks.wall)

    assert settled() == 0
    clocks.pass_by(4.0)
    assert settled() == 1


def test_a_lease_ends_in_time_when_the_clock_is_set_back(store, watch, clocks):
    """The worker died, and the clock went back an hour: the job is another's after the lease, not after the hour."""
    claimed(store, now=clocks.wall)
    clocks.wall -= HOUR
    watch.look()
    clocks.pass_by(LEASE_S + 1)
    assert store.claim("w2", now=clocks.wall, lease_s=LEASE_S) is not None


def test_a_delivery_waits_no_longer_than_the_longest_wait(store, watch, clocks):
    """However far the clock is set back."""
    delivering(store, "SR")
    [delivery] = store.due(now=clocks.wall)
    store.postpone(delivery.delivery_id, reason="away", due_at=clocks.wall + 600, now=clocks.wall)
    clocks.wall -= 365 * DAY
    watch.look()
    clocks.pass_by(LONGEST_DELAY_S * 1.25)
    assert len(store.due(now=clocks.wall)) == 1


def test_a_peer_has_not_failed_for_days_because_the_clock_says_so(store, watch, clocks):
    """What counts for giving up is what has passed."""
    delivering(store, "SR")
    [delivery] = store.due(now=clocks.wall)
    store.postpone(delivery.delivery_id, reason="away", due_at=clocks.wall, now=clocks.wall)
    clocks.pass_by(60.0)
    clocks.wall += 4 * DAY
    watch.look()
    [again] = store.due(now=clocks.wall)
    assert clocks.wall - again.failing_since == pytest.approx(60.0)


def test_what_was_recorded_by_a_clock_that_was_ahead_is_bounded_at_the_start(store, watch, clocks):
    """The machine was off when its clock was set right: nothing waits until that time comes again."""
    ahead = clocks.wall + 365 * DAY
    receive(store, 1, now=ahead)
    claimed(store, study=OTHER, now=ahead)
    watch.start()
    watch.stop()
    clocks.pass_by(LEASE_S + 1)
    assert settle_quiet_studies(store, quiet_seconds=5.0, now=clocks.wall) == 1
    assert store.claim("w2", now=clocks.wall, lease_s=LEASE_S) is not None


@pytest.mark.parametrize("at_the_start", [False, True])
def test_a_clock_that_is_far_ahead_removes_nothing_for_a_day(store, watch, clocks, tmp_path, at_the_start, caplog):
    """A person may set it right meanwhile; then it is believed."""
    delivering(store, "SR")
    [delivery] = store.due(now=clocks.wall)
    store.sent(delivery.delivery_id, status=0, now=clocks.wall)
    retention = Retention(
        store, StudyFolders(tmp_path), Limits(30.0, None), lambda: clocks.wall, is_trusted=watch.is_trusted
    )
    assert watch.is_trusted()
    clocks.wall += 3650 * DAY
    if at_the_start:
        watch.start()
        watch.stop()
    else:
        watch.look()
    assert retention.keep_within_limits() == 0
    assert "no study is removed for its age" in caplog.text
    clocks.pass_by(DAY)
    assert retention.keep_within_limits() == 1


def test_tiny_corrections_change_nothing(watch, clocks, jumps):
    """As NTP makes them."""
    clocks.wall += 1.0
    watch.look()
    assert jumps == []
    assert watch.is_trusted()
