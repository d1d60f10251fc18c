"""The vocabulary of audit messages (PS3.15 A.5.1 and A.5.2): who did what to which study, when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.domain.delivery import TlsFiles


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value (CodedValueType)."""

    value: str
    scheme: str
    meaning: str


class Action(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    #: Something was kept from happening, and may be tried again.
    MINOR_FAILURE = "4"
    #: It ended without what it was for.
    SERIOUS_FAILURE = "8"


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part (ActiveParticipant): a person, or an application entity."""

    user_id: str
    is_requestor: bool
    role: Code | None = None
    #: Empty for a person.
    ae_title: str = ""
    #: An IP address or a host name; empty where none is known.
    network: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What it was done to (ParticipantObjectIdentification): a study, a patient, a node, a query."""

    subject_id: str
    id_type: Code
    #: ParticipantObjectTypeCode: 1 person, 2 system object.
    type_code: str
    #: ParticipantObjectTypeCodeRole: 1 patient, 3 report, 13 security resource.
    role: str
    #: ParticipantObjectName; the schema wants this or a query.
    name: str = ""
    #: ParticipantObjectQuery: an encoded data set.
    query: bytes = b""
    #: ParticipantObjectDetail: type -> text.
    details: Mapping[str, str] | None = None
    #: SOP Class UID -> number of instances; under an empty UID: of whatever class.
    instances: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """One event, complete but for the name of its source, which is the same for all messages of a node."""

    event: Code
    action: Action
    #: Seconds since the epoch, UTC.
    at: float
    outcome: Outcome
    participants: tuple[Participant, ...]
    subjects: tuple[Subject, ...] = ()
    types: tuple[Code, ...] = ()
    #: EventOutcomeDescription; empty where there is nothing to add.
    description: str = ""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where syslog records go."""

    host: str
    port: int
    #: None: as datagrams, which anybody on the way can read.
    tls: TlsFiles | None

    def __str__(self) -> str:
        """`host:port over TLS`."""
        return f"{self.host}:{self.port} {'by UDP' if self.tls is None else 'over TLS'}"


@dataclass(frozen=True, slots=True)
class WaitingRecord:
    """A syslog record that has not arrived yet."""

    record_id: int
    text: str
