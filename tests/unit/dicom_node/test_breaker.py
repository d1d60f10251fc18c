"""When a peer is tried, and how far apart: decisions by table; and what is told of it."""

import logging
import random

import pytest

from dicom_node.domain.breaker import CLOSED, OPENS_AFTER, Breaker, after_failure, in_probing_order, may_try
from dicom_node.reach import Reach
from tests.builders.network import MemoryDeliveries

OPEN = Breaker(failures=3, since=10.0, reason="no connection", next_try_at=100.0)


class NoJitter(random.Random):
    """Chance that is always 0."""

    def random(self):
        """The least."""
        return 0.0


def failed(times, jitter):
    """A breaker after so many failures, one each hour."""
    breaker = CLOSED
    for number in range(times):
        breaker = after_failure(breaker, f"failure {number}", now=1000.0 + 3600 * number, jitter=jitter)
    return breaker


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [(1, None), (OPENS_AFTER - 1, None), (OPENS_AFTER, 8.0), (4, 16.0), (9, 512.0), (10, 600.0), (5000, 600.0)],
)
def test_it_opens_after_some_failures_and_waits_ever_longer_up_to_a_cap(failures, wait_s):
    """Counted in a row; since the first of them, for the reason of the last."""
    breaker = failed(failures, NoJitter())
    last_at = 1000.0 + 3600 * (failures - 1)
    assert breaker == Breaker(failures, 1000.0, f"failure {failures - 1}", None if wait_s is None else last_at + wait_s)
    assert breaker.is_open is (wait_s is not None)


def test_chance_spreads_the_probes():
    """Up to a quarter more, so that nodes that lost one peer together do not all knock at once."""
    jitter = random.Random(7)
    waits = {after_failure(OPEN, "", now=0.0, jitter=jitter).next_try_at for _ in range(50)}
    assert len(waits) == 50
    assert 16.0 <= min(waits) < max(waits) <= 20.0


@pytest.mark.parametrize(
    ("breaker", "now", "may"),
    [
        (CLOSED, 0.0, True),
        (Breaker(failures=2, since=10.0, reason="no connection"), 11.0, True),
        (OPEN, 99.9, False),
        (OPEN, 100.0, True),
        (OPEN, 500.0, True),
        # a clock that was set back by years does not keep the peer waiting for years
        (OPEN, -1e8, True),
    ],
)
def test_an_open_one_lets_nothing_through_before_its_time(breaker, now, may):
    """A closed one everything."""
    assert may_try(breaker, now=now) is may


def test_the_probe_is_of_the_job_that_was_tried_least(tmp_path):
    """Whole jobs change places, since a report must not overtake its segmentation."""
    deliveries = MemoryDeliveries()
    for job_id in (1, 1, 2, 2):
        deliveries.add(tmp_path / "x.dcm", peer="PACS", job_id=job_id)
    deliveries.postpone(2, reason="hung up", due_at=0.0, now=0.0)
    assert [each.delivery_id for each in in_probing_order(deliveries.due(now=1.0))] == [3, 4, 1, 2]


def test_one_line_when_it_opens_and_one_when_it_closes(tmp_path, caplog):
    """However often it fails between them, and nothing at all before."""
    deliveries = MemoryDeliveries()
    deliveries.add(tmp_path / "x.dcm", peer="PACS")
    now = [1000.0]
    reach = Reach(deliveries, "PACS", lambda: now[0], NoJitter())
    with caplog.at_level(logging.INFO):
        opened = [reach.failed("no connection") for _ in range(20)]
        now[0] += 600.0
        reach.answered()
        reach.answered()
    assert opened == [False] * (OPENS_AFTER - 1) + [True] * (20 - OPENS_AFTER + 1)
    assert [record.action for record in caplog.records] == ["peer_unreachable", "peer_back"]
    first, last = (record.getMessage() for record in caplog.records)
    assert "1 objects wait" in first
    assert "no connection" in first
    assert "after 600 s; 1 objects" in last


def test_a_failure_now_and_then_is_told_of_nowhere(tmp_path, caplog):
    """An answer between them, and they are not in a row."""
    deliveries = MemoryDeliveries()
    reach = Reach(deliveries, "PACS", lambda: 0.0, NoJitter())
    with caplog.at_level(logging.INFO):
        for _ in range(OPENS_AFTER):
            assert not reach.failed("hung up")
            reach.answered()
    assert caplog.records == []
    assert deliveries.breakers == {}
