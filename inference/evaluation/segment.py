"""A segmenter over outlined stacks: patient by patient, on their own grid, lesions as the node would report them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.meaniou import compute_iou
from numpy.typing import NDArray

from inference.datasets.example import DataSetError, Example, Stack, readable
from inference.datasets.layouts import examples_of
from inference.evaluation.figures import Evaluation, Gallery, Measure, Picture, Statistic, Table, bootstrap
from inference.evaluation.plots import small, with_outlines
from inference.evaluation.source import volume_of
from inference.interpret import lesions
from inference.models import Segmenter
from inference.voxels import together

_RESAMPLES = 1000
_WORST = 6


@dataclass(frozen=True, slots=True, eq=False)
class _Patient:
    """A stack's figures by name, its voxels in both masks and in either, and its worst slice."""

    example: Example
    figures: Mapping[str, float]
    common: int
    either: int
    picture: Picture


def evaluate(model: Segmenter, root: Path, split: str, layout: str = "") -> Evaluation:
    """Dice and intersection over union per patient and pooled, 95 % Hausdorff distance in pixels of a slice, and the
    error of the volume, signed and absolute, over all patients of the split. Raises DataSetError where none is
    outlined."""
    card = model.package.card
    patients = [
        _measured(model, example, stack.mask, stack)
        for example, stack in readable(examples_of(root, split, layout))
        if stack.mask is not None
    ]
    if not patients:
        raise DataSetError(f"{root}: nothing of split {split!r} is outlined")
    subjects = [patient.example.subject for patient in patients]
    worst = sorted(patients, key=lambda patient: patient.figures["Dice"])
    header = ("patient", *worst[0].figures)
    rows = tuple((patient.example.name, *(f"{value:.3f}" for value in patient.figures.values())) for patient in worst)
    return Evaluation(
        package=card.name,
        version=card.version,
        weights_sha256=card.weights_sha256,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len(set(subjects)),
        resamples=_RESAMPLES,
        figures=tuple(bootstrap(measure, subjects, _RESAMPLES) for measure in _measures(patients)),
        tables=(Table("patients, the worst first", header, rows),),
        galleries=(
            Gallery(
                "worst patients: truth in green, answer in orange", tuple(patient.picture for patient in worst[:_WORST])
            ),
        ),
    )


def _measured(model: Segmenter, example: Example, truth: NDArray[np.bool_], stack: Stack) -> _Patient:
    card, volume = model.package.card, volume_of(stack)
    ((name,),) = card.questions.values()
    found = lesions(volume, model.score_parts(volume), name, card.operating_point)
    mask = together([segment.mask for segment in found]).whole() if found else np.zeros(truth.shape, np.bool_)
    figures = _figures(mask, truth)
    number = int((truth ^ mask).sum((1, 2)).argmax())
    caption = f"{example.name}, Dice {figures['Dice']:.2f}, slice {number + 1}"
    picture = with_outlines(small(stack.pixels[number]), truth[number], mask[number], caption)
    return _Patient(example, figures, int((mask & truth).sum()), int((mask | truth).sum()), picture)


def _figures(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of one patient; slices are 1 pixel apart for the distance, since the pictures state no spacing. NaN:
    without a lesion in both there is no distance, without a true one no relative error."""
    one, other = (torch.from_numpy(array)[None, None].float() for array in (mask, truth))
    distance = error = float("nan")
    if mask.any() and truth.any():
        distance = float(compute_hausdorff_distance(one, other, include_background=True, percentile=95))
    if truth.any():
        error = float((int(mask.sum()) - int(truth.sum())) / int(truth.sum()))
    return {
        "Dice": float(compute_dice(one, other, ignore_empty=False)),
        "IoU": float(compute_iou(one, other, ignore_empty=False)),
        "HD95 in pixels": distance,
        "volume error": error,
        "absolute volume error": abs(error),
    }


def _measures(patients: Sequence[_Patient]) -> Iterator[Measure]:
    for name in patients[0].figures:
        values = np.array([patient.figures[name] for patient in patients])
        yield Measure(name, _mean(values), cases=int(np.isfinite(values).sum()))
    counts = np.array([(patient.common, patient.either) for patient in patients])
    yield Measure("pooled IoU", lambda cases: float(counts[cases, 0].sum() / max(counts[cases, 1].sum(), 1)))


def _mean(values: NDArray[np.float64]) -> Statistic:
    """Of those that are numbers."""

    def statistic(cases: NDArray[np.int64]) -> float:
        chosen = values[cases]
        return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else float("nan")

    return statistic
