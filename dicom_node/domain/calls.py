"""Who called: one association request, or less, and how it ended; what the connection doctor shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CallOutcome(StrEnum):
    """How a call ended, as far as the door is concerned."""

    ACCEPTED = "accepted"
    #: An A-ASSOCIATE-RJ.
    REJECTED = "rejected"
    #: No TLS connection came of it; nobody knows which AE title would have called.
    NO_TLS = "no TLS"
    #: Ended by a bound on time or size.
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class RefusedContext:
    """A presentation context that was proposed and not accepted."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    #: Result of the answer (PS3.8 Table 9-18): 3 abstract syntax, 4 transfer syntaxes not supported.
    result: int


@dataclass(frozen=True, slots=True)
class Call:
    """Calls alike: from one AE title at one address to one AE title, with one outcome. No patient data is in it.

    AE titles are empty where none was told; the reason, the remedy and the refused contexts are those of the last.
    """

    calling_ae_title: str
    address: str
    called_ae_title: str
    outcome: CallOutcome
    reason: str
    #: What to write into the configuration, or to change at the peer; empty where nothing is wrong.
    remedy: str
    first_at: float
    last_at: float
    count: int = 1
    refused: tuple[RefusedContext, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, CallOutcome]:
        """What calls that count as one have in common."""
        return (self.calling_ae_title, self.address, self.called_ae_title, self.outcome)
