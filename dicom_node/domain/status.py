"""How studies stand and what happened to them: what the store tells people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.job import JobState
from dicom_node.domain.refusal import Substitution
from dicom_node.domain.research import ResearchStatus
from dicom_node.domain.urgency import Urgency

#: The state of a study that has no job: everything received of it is no image, or it is kept to compare others with.
NOTHING_TO_ANALYSE = "nothing to analyse"
#: The reason of the latter.
FETCHED_AS_PRIOR = "fetched as a prior, and not analysed; dicom-node rerun has it analysed"


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One result object for one peer, and how far it got."""

    peer: str
    state: DeliveryState
    #: Number of the try that comes next, or that decided.
    attempt: int
    #: What the last try that failed ran into, to send it or to have it proved; empty when none did.
    reason: str
    modality: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    #: Whether it is sent, and the peer is still to prove that it keeps it.
    is_unproven: bool = False

    @property
    def state_in_words(self) -> str:
        """Its state, and what is still missing."""
        return f"{self.state}, not yet committed" if self.is_unproven else str(self.state)


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One peer's queue. Times are seconds since the epoch, UTC."""

    peer: str
    #: Objects on their way to it.
    waiting: int
    #: None: it answers.
    unreachable_since: float | None
    #: What the last try that failed ran into; empty when none did.
    reason: str
    #: When it is tried again; None when nothing is to be.
    next_try_at: float | None
    #: SOP classes that it refused of late and that something takes the place of.
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """One study, by its newest job. Times are seconds since the epoch, UTC."""

    study_instance_uid: str
    #: A JobState, or NOTHING_TO_ANALYSE.
    state: str
    #: Of the Analysis; None while there is none.
    outcome: str | None
    #: Why it stands where it stands.
    reason: str
    #: How often a worker has claimed it.
    attempt: int
    #: None while there is no job.
    urgency: Urgency | None
    instance_count: int
    image_count: int
    #: When its first instance came.
    received_at: float
    #: When its latest image came; None without any.
    last_image_at: float | None
    settled_at: float | None
    #: When its analysis ended, well or not.
    finished_at: float | None
    #: The Analysis in brief, as JSON text.
    summary: str | None
    #: In sending order.
    deliveries: tuple[DeliveryStatus, ...]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job of a study. Times are seconds since the epoch, UTC."""

    job_id: int
    state: JobState
    outcome: str | None
    #: Why it stands where it stands.
    reason: str
    #: How often a worker has claimed it.
    attempt: int
    urgency: Urgency
    #: When its first image came, or when a person asked for it.
    opened_at: float
    settled_at: float | None
    #: When its analysis ended, well or not.
    finished_at: float | None
    #: In sending order.
    deliveries: tuple[DeliveryStatus, ...]


@dataclass(frozen=True, slots=True)
class StudyHistory:
    """One study in full: how it stands, its jobs and what happened, both oldest first."""

    study: StudyStatus
    jobs: tuple[JobStatus, ...]
    events: tuple[Event, ...]
    #: What was made anew for peers that refuse a SOP class, or is to be.
    substitutions: tuple[Substitution, ...] = ()
    #: None where no research copy was ever wanted.
    research: ResearchStatus | None = None


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A study that nothing and nobody waits for."""

    study_instance_uid: str
    #: When its last object came or its last analysis ended, whichever was later; seconds since the epoch, UTC.
    last_at: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a person's request for one study. The same request again changes nothing, and says so."""

    study_instance_uid: str
    changed: bool
    #: One sentence without a full stop.
    told: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a study. `action` is the new state of its job, or what an instance or delivery met."""

    #: Seconds since the epoch, UTC.
    at: float
    study_instance_uid: str
    job_id: int | None
    action: str
    reason: str
