"""What was received: instances, grouped by the UIDs they carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicom_node.domain.urgency import Urgency


class InstanceKind(StrEnum):
    """What a received object is to the node; only images are analysed."""

    IMAGE = "image"
    #: A standard object without pixels to analyse: a report, a plan, a waveform, a segmentation.
    NOT_AN_IMAGE = "not an image"
    #: A result this node made, come back; recorded, never analysed.
    OWN_RESULT = "own result"


@dataclass(frozen=True, slots=True)
class Maker:
    """What made an object, as it says itself (General Equipment, PS3.3 C.7.5.1); empty where it does not."""

    manufacturer: str = ""
    model_name: str = ""


@dataclass(frozen=True, slots=True)
class ConflictingObject:
    """An object that was kept aside, since another one has its SOP Instance UID."""

    study_instance_uid: str
    sop_instance_uid: str
    #: Of its data set, hex sha256.
    digest: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One received instance, safely on disk at `path`."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    study_instance_uid: str
    kind: InstanceKind
    path: Path
    size_bytes: int
    #: sha256 of the data set's bytes, hex.
    digest: str
    urgency: Urgency = Urgency.ROUTINE


@dataclass(frozen=True, slots=True)
class Sender:
    """A calling AE title that has sent images of a study."""

    calling_ae_title: str
    #: Of every kind but own results: what was received first from this one.
    instance_count: int


@dataclass(frozen=True, slots=True)
class StudyActivity:
    """A study that is still being received, as the settling decision sees it."""

    study_instance_uid: str
    image_count: int
    #: Seconds since the epoch, UTC.
    first_received_at: float
    last_received_at: float
    senders: tuple[Sender, ...] = ()
    urgency: Urgency = Urgency.ROUTINE


@dataclass(frozen=True, slots=True)
class SeriesArriving:
    """A series of a study that is not settled, as far as images of it have come."""

    study_instance_uid: str
    series_instance_uid: str
    image_count: int
    size_bytes: int
    #: When the latest came; seconds since the epoch, UTC.
    last_received_at: float
