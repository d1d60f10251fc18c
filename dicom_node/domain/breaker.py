"""The circuit breaker of a peer: after some failures in a row to reach it, one probe at a time, ever further apart.

A closed breaker changes nothing: every delivery is tried when it is due. While it is open nothing of the peer's queue
is tried but one round at `next_try_at`, which ends with its first failure. One answer of the peer, whatever it says,
closes it. What an answer means for an object is the business of answers.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from dicom_node.domain.delivery import LONGEST_DELAY_S, Delivery, retry_delay_s

#: Failures in a row to reach a peer: no connection, a rejected association, no answer.
OPENS_AFTER = 3
#: The longest wait with the most jitter: what is further away, a clock has been set back since.
_LONGEST_WAIT_S = LONGEST_DELAY_S * 1.25


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a peer has answered of late. Times are seconds since the epoch, UTC."""

    #: In a row, up to now.
    failures: int = 0
    #: When the first of them was; None when there is none.
    since: float | None = None
    #: What the last of them was.
    reason: str = ""
    #: When the next probe may go; None while it is closed.
    next_try_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether its queue waits for a probe."""
        return self.next_try_at is not None


#: Of a peer that has answered, or was never called.
CLOSED = Breaker()


def after_failure(breaker: Breaker, reason: str, *, now: float, jitter: random.Random) -> Breaker:
    """The peer could not be reached at `now`."""
    failures = breaker.failures + 1
    wait_s = retry_delay_s(failures, jitter) if failures >= OPENS_AFTER else None
    return Breaker(
        failures=failures,
        since=now if breaker.since is None else breaker.since,
        reason=reason,
        next_try_at=None if wait_s is None else now + wait_s,
    )


def may_try(breaker: Breaker, *, now: float) -> bool:
    """Whether the peer may be called at `now`."""
    if breaker.next_try_at is None:
        return True
    return now >= breaker.next_try_at or breaker.next_try_at - now > _LONGEST_WAIT_S


def in_probing_order(due: Iterable[Delivery]) -> tuple[Delivery, ...]:
    """Deliveries of one peer with the least tried job first; those of one job stay in their order.

    An object that makes its peer hang up must not be the probe every time: the breaker would never close.
    """
    due = tuple(due)
    tries: dict[int, int] = {}
    for delivery in due:
        tries[delivery.job_id] = max(delivery.attempt, tries.get(delivery.job_id, 0))
    return tuple(sorted(due, key=lambda delivery: tries[delivery.job_id]))
