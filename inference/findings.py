"""What an analysis says: frozen records of findings, of every stage that ran or did not, and why.

Imports no torch, so that encoders and command line stay light.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inference.volume import Volume
from inference.voxels import Mask


class Task(StrEnum):
    """What kind of answer a stage gives."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"


class Outcome(StrEnum):
    """How a stage, or a whole analysis, ended (PS3.16 CID 6042, CID 6047)."""

    #: It ran to its end; finding nothing is complete, too.
    COMPLETE = "complete"
    #: An analysis of which some stages failed or were refused.
    PARTIAL = "partial"
    #: Refused before it ran, with the reason.
    NOT_ATTEMPTED = "not attempted"
    #: It ran and broke, with the reason.
    FAILED = "failed"


class Defect(StrEnum):
    """What may be wrong with a volume's pictures."""

    TINY = "tiny"
    BLANK = "blank"
    NOISE = "noise"
    CLIPPED = "clipped"
    TRUNCATED = "truncated"
    COMPRESSED = "heavily compressed"


class Agreement(StrEnum):
    """What the header says to an answer that was found in the pixels."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    #: It says nothing, or nothing definite.
    SILENT = "silent"


class Quantity(StrEnum):
    """What a measurement measures; the unit is part of the name."""

    VOLUME_ML = "volume_ml"
    LONG_AXIS_MM = "long_axis_mm"
    SHORT_AXIS_MM = "short_axis_mm"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A named, versioned model package: what Algorithm Identification (TID 4019) needs."""

    name: str
    version: str
    manufacturer: str
    #: sha256 of card and weights, 64 hex digits.
    digest: str
    #: What changes its answer, as text ("threshold", "0.5").
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Classification:
    """One question answered for one volume: the label and the score of every class."""

    label: str
    score: float
    scores: tuple[tuple[str, float], ...]
    #: Slice indices of the volume that were looked at.
    slices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeaderCheck:
    """An answer beside what the header states, in the header's own word; empty where it is silent."""

    agreement: Agreement
    stated: str


@dataclass(frozen=True, slots=True)
class QualityFlag:
    """A defect of a volume, in words for a reader of the report; `refused` where nothing looked at it because of it."""

    defect: Defect
    text: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit in the quantity's name; `slice_index` where it was taken in one slice."""

    quantity: Quantity
    value: float
    slice_index: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A box on one slice: corners in (column, row) of the pixel grid, 0,0 the outer corner of the first pixel
    (PS3.3 C.18.6.1.1), so a box over pixel columns x0..x1-1 runs from x0 to x1."""

    label: str
    score: float
    slice_index: int
    left: float
    top: float
    right: float
    bottom: float
    #: First and last slice on which the same thing was boxed; `slice_index` is where its score is highest. None: there
    #: alone.
    extent: tuple[int, int] | None = None

    @property
    def slice_extent(self) -> tuple[int, int]:
        """First and last slice, both included."""
        return self.extent or (self.slice_index, self.slice_index)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One lesion as voxels on the volume's own grid, with their scores where there are any."""

    label: str
    #: 1-based, largest first, unique within its stage run; with the label it names the lesion for a reader.
    number: int
    mask: Mask
    mean_score: float
    measurements: tuple[Measurement, ...] = ()

    @property
    def slice_extent(self) -> tuple[int, int]:
        """First and last slice of the mask, both included."""
        return self.mask.slice_extent


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage of the cascade on one volume: its answer, or why there is none.

    A finding stage that is COMPLETE with neither segments nor regions has looked and found nothing.
    """

    stage: str
    task: Task
    outcome: Outcome
    #: Why it was not attempted or failed: a sentence for a reader of the report, no patient data. Empty when complete.
    reason: str = ""
    algorithm: Algorithm | None = None
    seconds: float = 0.0
    classification: Classification | None = None
    #: Of a classification whose subject a header may state.
    header: HeaderCheck | None = None
    segments: tuple[Segment, ...] = ()
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        if self.outcome is Outcome.PARTIAL:
            raise ValueError("a stage run is complete, not attempted or failed; only an analysis is partial")
        if (self.outcome is Outcome.COMPLETE) != (not self.reason):
            raise ValueError(f"stage {self.stage}: a reason belongs to what is not complete, and only there")

    @property
    def found_nothing(self) -> bool:
        """Whether a detection or segmentation looked and found nothing."""
        return (
            self.outcome is Outcome.COMPLETE
            and self.task is not Task.CLASSIFICATION
            and not self.segments
            and not self.regions
        )


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where on one slice a stage's answer comes from: `values` float32 0..1 (row, column) on the volume's own grid.

    None where there is no telling, with the reason as a sentence.
    """

    stage: str
    #: The answer that is explained.
    label: str
    slice_index: int
    #: "Grad-CAM" (Selvaraju et al., 2017), "Grad-CAM++" (Chattopadhay et al., 2018) or "score map".
    method: str
    values: NDArray[np.float32] | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VolumeAnalysis:
    """All stage runs of one volume, in the order of the cascade, and what is wrong with its pictures."""

    volume: Volume
    runs: tuple[StageRun, ...]
    quality: tuple[QualityFlag, ...] = ()
    #: Of stages in shadow: recorded beside the others, and no part of any result.
    shadow: tuple[StageRun, ...] = ()
    #: Of the stages that answered; only when they were asked for.
    heat_maps: tuple[HeatMap, ...] = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An instance that was not analysed, and why, in words for a reader of the report."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    reason: str
    #: Whether it should have been analysed and could not be: nobody knows what it shows.
    is_loss: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything the node has to say about one settled study. A refused study is an Analysis too."""

    study_instance_uid: str
    volumes: tuple[VolumeAnalysis, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()

    @property
    def runs(self) -> tuple[StageRun, ...]:
        """The stage runs of all volumes."""
        return tuple(run for volume in self.volumes for run in volume.runs)

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """Every algorithm that ran, each once, in the order of first use."""
        return tuple(dict.fromkeys(run.algorithm for run in self.runs if run.algorithm is not None))

    @property
    def outcome(self) -> Outcome:
        """COMPLETE when every stage is and no image is lost, FAILED or NOT_ATTEMPTED when no stage is, else PARTIAL."""
        outcomes = {run.outcome for run in self.runs}
        if not outcomes:
            return Outcome.NOT_ATTEMPTED
        lost = any(exclusion.is_loss for exclusion in self.exclusions)
        if len(outcomes) == 1 and not (lost and Outcome.COMPLETE in outcomes):
            return outcomes.pop()
        if Outcome.COMPLETE not in outcomes:
            return Outcome.FAILED
        return Outcome.PARTIAL
