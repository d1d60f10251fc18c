"""The tree of errors this node raises; the class decides the DIMSE status and whether trying again can help.

NodeError
├── SettingsError           a configuration that cannot be used; all faults together
├── ReceiveError            answered to the sender as a status (PS3.4 B.2.3)
│   ├── OutOfResources          0xA700
│   ├── DatasetMismatch         0xA900
│   └── CannotUnderstand        0xC000
├── ReadError               an instance that cannot become pixels; its message is the refusal's reason
├── StoreError              the database or the spool
│   └── DamagedDatabase         can be made anew from the spool
└── DeliveryError           a result that did not arrive
    ├── PeerUnreachable         retry
    │   └── PeerUnavailable         retry: it answered, and takes nothing from this node now
    ├── PeerRefused             retry only when the refusal is transient
    │   └── NothingAccepted         final: it takes none of the SOP classes
    └── ObjectRejected          final: the peer said no to this object
        └── SopClassRefused         to all of its SOP class: another one may take its place
"""

from __future__ import annotations

from dataclasses import dataclass


class NodeError(Exception):
    """Something this node can explain."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration: where, what, and what to write instead."""

    file: str
    line: int | None
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """`file:line: key: problem; remedy`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.problem}; {self.remedy}"


class SettingsError(NodeError):
    """The configuration cannot be used."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class ReceiveError(NodeError):
    """A C-STORE that is answered with a failure; its subclasses are every failure the SCP answers."""

    #: DIMSE status (PS3.4 Table B.2-1) and its name there.
    status: int = 0xC000
    meaning: str = "Error: Cannot Understand"


class OutOfResources(ReceiveError):
    """The object cannot be kept now; the sender may try again."""

    status = 0xA700
    meaning = "Refused: Out of Resources"


class DatasetMismatch(ReceiveError):
    """The data set contradicts the request: another SOP class, another instance."""

    status = 0xA900
    meaning = "Error: Data Set does not match SOP Class"


class CannotUnderstand(ReceiveError):
    """The data set cannot be parsed as far as its identifiers, or the node is at fault."""

    status = 0xC000
    meaning = "Error: Cannot Understand"


class ReadError(NodeError):
    """An instance whose pixels cannot be had; the message is told to the reader of the report."""


class StoreError(NodeError):
    """The database or the spool refuses."""


class DamagedDatabase(StoreError):
    """The database file is not what it should be; the images are not lost with it."""


class DeliveryError(NodeError):
    """A result object that did not reach its peer."""

    #: Whether the same object may arrive at a later try.
    retryable: bool = True
    #: Seconds the peer asks to be left alone, 0 when it said nothing.
    wait_s: float = 0.0


class PeerUnreachable(DeliveryError):
    """No connection, no answer, or the connection broke."""


class PeerUnavailable(PeerUnreachable):
    """A web server that answered, but not as the store: overloaded, not there, or not content with who we are."""

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class PeerRefused(DeliveryError):
    """The peer rejected the association or every presentation context, or has no room now (0xA7xx)."""

    def __init__(self, message: str, *, transient: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.retryable = transient
        self.wait_s = wait_s


class NothingAccepted(PeerRefused):
    """The peer answered, and accepted no presentation context."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)


class ObjectRejected(DeliveryError):
    """The peer answered this object with a final failure status."""

    retryable = False


class SopClassRefused(ObjectRejected):
    """The peer takes no object of this SOP class."""

    def __init__(self, message: str, sop_class_uid: str) -> None:
        super().__init__(message)
        self.sop_class_uid = sop_class_uid
