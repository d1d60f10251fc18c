"""The life of a delivery: one result object on its way to one peer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class DeliveryState(StrEnum):
    """Where a delivery stands; see TRANSITIONS for what may follow."""

    #: Not yet sent, or to be tried again at its due time.
    PENDING = "pending"
    #: The peer answered success or a warning.
    SENT = "sent"
    #: The peer has proved that it keeps it: by storage commitment (PS3.4 Annex J), or by a query that finds it.
    COMMITTED = "committed"
    #: Refused for good, or in vain for too long; kept for a person.
    DEAD = "dead"


#: The node's own table. A pair that is not here is a programming error. Back to PENDING: a person had it sent again, or
#: the peer says that it does not have what it has taken.
TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset({DeliveryState.SENT, DeliveryState.DEAD}),
    DeliveryState.SENT: frozenset({DeliveryState.COMMITTED, DeliveryState.PENDING}),
    DeliveryState.COMMITTED: frozenset({DeliveryState.PENDING}),
    DeliveryState.DEAD: frozenset({DeliveryState.PENDING}),
}


def may_follow(now: DeliveryState, then: DeliveryState) -> bool:
    """Whether the table allows the step."""
    return then in TRANSITIONS[now]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one side of TLS: what it shows, and whose certificates it believes."""

    certificate: Path
    key: Path
    authorities: Path
    #: Whether the other side's certificate must name its host; a server does not ask that of its callers.
    check_host_name: bool = True


@dataclass(frozen=True, slots=True)
class Destination:
    """A peer to talk to. `name` is its key in the configuration."""

    name: str
    ae_title: str
    host: str
    port: int
    #: None: without TLS.
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        """`AE@host:port`."""
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM object made by a job, safely on disk at `path`; jobs list them in sending order."""

    path: Path
    modality: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A result object and who is to get it."""

    result: ResultObject
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """The Structured Report of an earlier job of the same study."""

    job_id: int
    result: ResultObject
    peers: tuple[str, ...]
    #: What that job found, as JSON text.
    summary: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result object for one peer."""

    delivery_id: int
    job_id: int
    peer: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    attempt: int
    #: When the first of the tries in vain was, in seconds since the epoch, UTC; None when none was.
    failing_since: float | None


FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 600.0
#: Doublings after which the cap is long reached; 2.0 to the number of a month's attempts is no float any more.
_MOST_DOUBLINGS = 16


def doubled_s(number: int, first_s: float, longest_s: float) -> float:
    """Seconds after the `number`-th time in vain (1-based): doubling, capped."""
    delay: float = min(longest_s, first_s * 2.0 ** min(number - 1, _MOST_DOUBLINGS))
    return delay


def retry_delay_s(attempt: int, jitter: random.Random) -> float:
    """Seconds to wait after the `attempt`-th failure (1-based): doubling, capped, up to a quarter more by chance
    so that many waiting objects do not all knock at once."""
    return doubled_s(attempt, FIRST_DELAY_S, LONGEST_DELAY_S) * (1 + jitter.random() / 4)


def is_in_vain(failing_since: float | None, *, give_up_after_s: float, now: float) -> bool:
    """Whether tries have failed for so long that there shall be no other; the first failure never is in vain."""
    return failing_since is not None and now - failing_since >= give_up_after_s


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long is tried in vain, and by how much chance spreads the tries."""

    give_up_after_s: float
    jitter: random.Random

    def is_over(self, failing_since: float | None, now: float) -> bool:
        """Whether there was no success for so long that a person must look."""
        return is_in_vain(failing_since, give_up_after_s=self.give_up_after_s, now=now)

    def told(self, failing_since: float | None, reason: str, now: float) -> str:
        """The reason, and for how long it was so, where that is too long."""
        if not self.is_over(failing_since, now):
            return reason
        return f"in vain for {self.give_up_after_s / 3600:g} hours: {reason}"
