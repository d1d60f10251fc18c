"""Storage commitment (PS3.4 Annex J): what is asked, what is answered, and what became of what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path


class Proof(StrEnum):
    """How a peer proves that it keeps what was sent to it."""

    #: It need not: the status of the C-STORE is enough.
    NONE = "none"
    #: By the report on a storage commitment request.
    REQUEST = "request"
    #: By a query that finds the object.
    FIND = "find"


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an object that is not committed to (PS3.3 C.14.1.1), those this node answers."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True)
class Reference:
    """An object by its UIDs, as in Referenced SOP Sequence (0008,1199)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """The Action Information of an N-ACTION (PS3.4 Table J.3-1)."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The Event Information of an N-EVENT-REPORT (PS3.4 Table J.3-2)."""

    transaction_uid: str
    kept: tuple[Reference, ...]
    #: With the Failure Reason of each.
    failed: tuple[tuple[Reference, int], ...]


@dataclass(frozen=True, slots=True)
class Unproven:
    """A delivery that was sent, and whose peer has not proved yet that it keeps the object."""

    delivery_id: int
    peer: str
    study_instance_uid: str
    series_instance_uid: str
    reference: Reference
    #: Of the last request, as long as its report may come.
    transaction_uid: str | None
    #: How often it was asked for since it was sent last, a request under way included.
    asked: int
    #: When there was no word for the first time since it was sent last, in seconds since the epoch, UTC, or None.
    failing_since: float | None
    #: When the peer did not have it for the first time, however often it was sent since, or None.
    missing_since: float | None


class Fate(StrEnum):
    """What becomes of a delivery that was to be proved."""

    #: Proved.
    COMMITTED = "committed"
    #: No word; the peer is asked once more.
    ASK_AGAIN = "ask again"
    #: The peer does not have it.
    SEND_AGAIN = "send again"
    #: The peer does not have it, however often it was sent.
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of one delivery, for a reason, which is empty when it is committed."""

    delivery_id: int
    #: By the report on this transaction, or for want of one; None: by a query, or before a request.
    transaction_uid: str | None
    fate: Fate
    reason: str = ""
    #: When it is asked or sent again, in seconds since the epoch, UTC.
    due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Promise:
    """A request of a peer that has not had its report yet."""

    promise_id: int
    #: Its name in the configuration.
    peer: str
    request: CommitmentRequest
    #: Number of the try to report that comes next.
    attempt: int
    #: When the first of the tries in vain was, in seconds since the epoch, UTC; None when none was.
    failing_since: float | None


class RequestRefusal(StrEnum):
    """Why a request is not taken."""

    IN_USE = "the Transaction UID is in use for another request"
    TOO_MANY = "too many requests wait for their reports; ask again later"


@dataclass(frozen=True, slots=True)
class Holding:
    """What the node has under a SOP Instance UID."""

    study_instance_uid: str
    sop_class_uid: str
    path: Path
    #: Whether the peer that asks has sent other content under the same UID, which was set aside.
    contradicted: bool
