"""What peers hold, as they tell it, and what became of having it sent: values of Query/Retrieve (PS3.4 Annex C)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Retrieve(StrEnum):
    """How a peer is asked to send what it holds."""

    #: C-MOVE: it opens an association to the node, which it must know by AE title, host and port.
    MOVE = "move"
    #: C-GET: it sends on the association on which it was asked.
    GET = "get"


@dataclass(frozen=True, slots=True)
class Dates:
    """Study Dates from `first` to `last`, both included."""

    first: datetime.date
    last: datetime.date


@dataclass(frozen=True, slots=True)
class StudyKeys:
    """Which studies are asked for; what is empty does not limit."""

    #: Not shown, since it may end in a log: what tells the patient.
    patient_id: str = field(default="", repr=False)
    issuer_of_patient_id: str = field(default="", repr=False)
    study_instance_uid: str = ""
    accession_number: str = field(default="", repr=False)
    dates: Dates | None = None
    #: One modality; a study matches when one of its series has it.
    modality: str = ""


@dataclass(frozen=True, slots=True)
class RemoteStudy:
    """A study as a peer tells it. What the peer does not tell is empty."""

    study_instance_uid: str
    #: YYYYMMDD and HHMMSS (PS3.5 6.2, DA and TM).
    study_date: str = ""
    study_time: str = ""
    modalities: tuple[str, ...] = ()
    patient_id: str = field(default="", repr=False)
    issuer_of_patient_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RemoteSeries:
    """A series as a peer tells it."""

    series_instance_uid: str
    modality: str = ""
    body_part: str = ""
    #: SOP Instance UID -> SOP Class UID, which is empty where the peer does not tell it.
    instances: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubOperations:
    """How the C-STOREs of one C-MOVE or C-GET ended (PS3.4 C.4.2.1.6), as the peer counts them."""

    status: int
    completed: int = 0
    failed: int = 0
    warning: int = 0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one study that was to be pulled."""

    study: RemoteStudy
    #: Instances that were asked for: those the peer holds of the wanted series, own results left out.
    wanted: int = 0
    #: Those of them that were here before.
    here: int = 0
    #: Those that came.
    arrived: int = 0
    #: Why something is missing; empty when nothing is, or nobody said.
    problem: str = ""

    @property
    def missing(self) -> int:
        """Instances that are still not here."""
        return self.wanted - self.here - self.arrived

    @property
    def is_complete(self) -> bool:
        """Whether all of it is here."""
        return not self.missing and not self.problem
