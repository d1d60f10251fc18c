"""The research copy: what is left of an object when nobody can say any more whose it is, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ResearchOption(StrEnum):
    """Options of the de-identification profile (PS3.15 E.3), as they are written in the configuration."""

    #: Dates are moved by a number of days that is the patient's own; times stay.
    MODIFIED_DATES = "modified-dates"
    #: Sex, age, size and weight stay.
    PATIENT_CHARACTERISTICS = "patient-characteristics"
    #: Serial numbers and names of the equipment stay.
    DEVICE_IDENTITY = "device-identity"
    #: Descriptions stay where they consist of known words.
    CLEAN_DESCRIPTORS = "clean-descriptors"


class CopyState(StrEnum):
    """Where the copy of one object stands. WANTED is left once; a person's `rerun` wants the last two again."""

    #: To be made, when no analysis waits.
    WANTED = "wanted"
    #: Made and handed on.
    MADE = "made"
    #: Not made, since it could show who the patient is, or is not asked for; with its reason.
    LEFT_OUT = "left out"
    #: Gave up, with its reason.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyWish:
    """Of a finished job, what copies are wanted of."""

    images: bool
    results: bool


@dataclass(frozen=True, slots=True)
class SpareTime:
    """What there is to do while no analysis waits: research copies of the studies that were analysed."""

    #: What is to be copied of a finished job.
    wish: CopyWish
    #: Makes one copy; False when there is none to be made now. It records by itself what comes of it.
    copy_one: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Original:
    """One object of which a copy is wanted, on disk at `path`."""

    job_id: int
    study_instance_uid: str
    sop_instance_uid: str
    path: Path
    #: How often the copy was begun since the last try that came to an end, this time included.
    attempt: int
    #: When the first of the tries in vain was, in seconds since the epoch, UTC; None when none was.
    failing_since: float | None


@dataclass(frozen=True, slots=True)
class ResearchStatus:
    """How far the copies of one study got: how many stand where, and why those that are not made are not."""

    copies: dict[str, int]
    #: DeliveryState -> how many.
    deliveries: dict[str, int]
    #: Why copies were left out or failed, or deliveries wait or are dead -> how many.
    reasons: dict[str, int]
