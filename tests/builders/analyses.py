"""Builds volumes and analyses over generated data sets for tests: found, absent, refused, failed, mixed."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.findings import (
    Algorithm,
    Analysis,
    Classification,
    Exclusion,
    Measurement,
    Outcome,
    Quantity,
    Region,
    Segment,
    StageRun,
    Task,
    VolumeAnalysis,
)
from inference.volume import FrameReference, Volume
from inference.voxels import Mask
from sr_writer import encode as encoding
from sr_writer.profiles import PROFILES, Profile
from sr_writer.provenance import Equipment
from tests.builders.datasets import header

WHEN = datetime.datetime(2026, 1, 15, 12, 30, 5, 250000, tzinfo=datetime.UTC)
EQUIPMENT = Equipment("Example Labs", "AI node", "0.1.0", "NODE-1", "AINODE")
CASCADE = Algorithm("cascade-resnet50", "1.0.0", "Example Labs", "c" * 64)
UNET = Algorithm("brain-tumour-unet", "1.2.0", "Example Labs", "a" * 64, (("threshold", "0.5"),))
DETECTOR = Algorithm("xray-abnormality", "0.3.0", "Example Labs", "d" * 64, (("minimum score", "0.25"),))


def encode(
    analysis: Analysis,
    sources: Mapping[str, Dataset],
    equipment: Equipment = EQUIPMENT,
    when: datetime.datetime = WHEN,
    profile: Profile = PROFILES["weasis"],
) -> tuple[Dataset, ...]:
    """Segmentations, report and presentation states, which most tests are about."""
    return encoding.encode(analysis, sources, equipment, when, profile)


def headers_of(*datasets: Dataset) -> dict[str, Dataset]:
    """What `encode` gets as sources."""
    return {dataset.SOPInstanceUID: header(dataset) for dataset in datasets}


def volume_of(datasets: Sequence[Dataset]) -> Volume:
    """The stack that a reader makes of single-frame images, with zeros for pixels, or of one multi-frame image."""
    first = datasets[0]
    count = int(first.get("NumberOfFrames", 0))
    if count:
        frames = [FrameReference(first.SOPClassUID, first.SOPInstanceUID, number) for number in range(1, count + 1)]
    else:
        frames = [FrameReference(dataset.SOPClassUID, dataset.SOPInstanceUID) for dataset in datasets]
    colour = (3,) if first.SamplesPerPixel == 3 else ()
    placed = "ImagePositionPatient" in first or count > 0
    return Volume(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=first.SeriesInstanceUID,
        pixels=np.zeros((len(frames), first.Rows, first.Columns, *colour), dtype=np.float32),
        frames=tuple(frames),
        affine=np.eye(4) if placed else None,
        pixel_spacing_mm=(0.9, 0.8) if placed else None,
        slice_spacing_mm=3.0 if placed and len(frames) > 1 else None,
    )


def classified(stage: str, label: str, score: float = 0.97, slices: tuple[int, ...] = (0,)) -> StageRun:
    """A classification stage that gave an answer."""
    answer = Classification(label, score, ((label, score),), slices)
    return StageRun(stage, Task.CLASSIFICATION, Outcome.COMPLETE, algorithm=CASCADE, classification=answer)


def segmented(*masks: NDArray[np.bool_], algorithm: Algorithm = UNET) -> StageRun:
    """A segmentation stage that found these lesions, or none; the n-th mask measures n ml."""
    segments = tuple(
        Segment(
            label="tumour",
            number=number,
            mask=Mask.of(mask),
            mean_score=0.91,
            measurements=(
                Measurement(Quantity.VOLUME_ML, float(number)),
                Measurement(Quantity.LONG_AXIS_MM, 12.5, int(mask.sum((1, 2)).argmax())),
                Measurement(Quantity.SHORT_AXIS_MM, 7.25, int(mask.sum((1, 2)).argmax())),
            ),
        )
        for number, mask in enumerate(masks, start=1)
    )
    return StageRun("brain tumour", Task.SEGMENTATION, Outcome.COMPLETE, algorithm=algorithm, segments=segments)


def detected(*corners: tuple[float, float, float, float]) -> StageRun:
    """A detection stage that found these boxes (left, top, right, bottom) on slice 0, or none."""
    regions = tuple(Region("abnormality", 0.66, 0, *each) for each in corners)
    return StageRun("x-ray abnormality", Task.DETECTION, Outcome.COMPLETE, algorithm=DETECTOR, regions=regions)


def refused(stage: str = "brain tumour", reason: str = "The model is not made for this plane.") -> StageRun:
    """A segmentation stage that was not attempted."""
    return StageRun(stage, Task.SEGMENTATION, Outcome.NOT_ATTEMPTED, reason)


def failed(stage: str = "brain tumour", reason: str = "The model ran out of memory.") -> StageRun:
    """A segmentation stage that broke."""
    return StageRun(stage, Task.SEGMENTATION, Outcome.FAILED, reason, UNET)


def excluded(dataset: Dataset, reason: str = "A localiser is not analysed.") -> Exclusion:
    """An instance that no stage saw."""
    return Exclusion(dataset.SOPInstanceUID, dataset.SOPClassUID, dataset.SeriesInstanceUID, reason)


def analysis_of(datasets: Sequence[Dataset], *runs: StageRun, exclusions: Sequence[Exclusion] = ()) -> Analysis:
    """An analysis of one volume."""
    volume = volume_of(datasets)
    return Analysis(volume.study_instance_uid, (VolumeAnalysis(volume, runs),), tuple(exclusions))


def lesion(
    shape: tuple[int, int, int], *, start: tuple[int, int, int], size: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """A mask (slice, row, column) of one block that is largest on its first slice, with a notch and a hole there."""
    mask = np.zeros(shape, dtype=bool)
    (z, y, x), (depth, height, width) = start, size
    mask[z : z + depth, y : y + height, x : x + width] = True
    mask[z + 1 : z + depth, y + height - 1, :] = False
    mask[z, y, x] = False
    mask[z, y + height // 2, x + width // 2] = False
    return mask
