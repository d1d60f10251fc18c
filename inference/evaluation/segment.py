"""A segmenter over outlined stacks: patient by patient, on their own grid, lesions as the node would report them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.meaniou import compute_iou
from numpy.typing import NDArray

from inference.datasets.example import readable
from inference.datasets.layouts import examples_of
from inference.evaluation.figures import Evaluation, Gallery, Measure, Picture, Statistic, Table, bootstrap
from inference.evaluation.plots import with_outlines
from inference.evaluation.source import volume_of
from inference.interpret import lesions
from inference.models import Segmenter

_RESAMPLES = 1000
_WORST = 6


def evaluate(model: Segmenter, root: Path, split: str) -> Evaluation:
    """Dice and intersection over union per patient and pooled, 95 % Hausdorff distance in pixels of a slice, and the
    error of the volume, over all patients of the split."""
    card, stacks, masks, truths = model.package.card, [], [], []
    subjects = list[str]()
    patients = list[str]()
    ((name,),) = card.questions.values()
    for example, stack in readable(examples_of(root, split)):
        if stack.mask is None:
            continue
        truth, volume = stack.mask, volume_of(stack)
        found = lesions(volume, model.scores(volume), name, card.operating_point)
        masks.append(np.any([segment.mask for segment in found], axis=0) if found else np.zeros(truth.shape, np.bool_))
        truths.append(truth)
        stacks.append(stack.pixels)
        patients.append(example.name)
        subjects.append(example.subject)
    values = {patient: _measure(*pair) for patient, *pair in zip(patients, masks, truths, strict=True)}
    counts = np.array([[(m & t).sum(), (m | t).sum()] for m, t in zip(masks, truths, strict=True)])
    statistics: dict[str, Statistic] = {
        name: _mean([each[name] for each in values.values()]) for name in next(iter(values.values()))
    }
    statistics["pooled IoU"] = lambda cases: float(counts[cases, 0].sum() / max(counts[cases, 1].sum(), 1))
    header = next(iter(values.values()))
    worst = sorted(values, key=lambda patient: values[patient]["Dice"])
    numbers = {patient: number for number, patient in enumerate(patients)}
    pictures = tuple(
        _worst_slice(stacks[number], truths[number], masks[number], f"{patient}, Dice {values[patient]['Dice']:.2f}")
        for patient, number in ((patient, numbers[patient]) for patient in worst[:_WORST])
    )
    rows_of = tuple((patient, *(f"{value:.3f}" for value in values[patient].values())) for patient in worst)
    return Evaluation(
        package=card.name,
        version=card.version,
        digest=model.package.digest,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len(set(subjects)),
        resamples=_RESAMPLES,
        figures=tuple(bootstrap(Measure(n, each), subjects, _RESAMPLES) for n, each in statistics.items()),
        tables=(Table("patients, the worst first", ("patient", *header), rows_of),),
        galleries=(Gallery("worst patients: truth in green, answer in orange", pictures),),
    )


def _worst_slice(
    stack: NDArray[np.float32], truth: NDArray[np.bool_], mask: NDArray[np.bool_], caption: str
) -> Picture:
    """The slice with the largest error, in pixels."""
    number = int((truth ^ mask).sum((1, 2)).argmax())
    return with_outlines(stack[number], truth[number], mask[number], f"{caption}, slice {number + 1}")


def _measure(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of one patient; slices are 1 pixel apart for the distance, since the pictures state no spacing."""
    one, other = (torch.from_numpy(array)[None, None].float() for array in (mask, truth))
    distance = float("nan")
    if mask.any() and truth.any():
        distance = float(compute_hausdorff_distance(one, other, include_background=True, percentile=95))
    return {
        "Dice": float(compute_dice(one, other, ignore_empty=False)),
        "IoU": float(compute_iou(one, other, ignore_empty=False)),
        "HD95 in pixels": distance,
        "volume error": float((int(mask.sum()) - int(truth.sum())) / max(int(truth.sum()), 1)),
    }


def _mean(values: list[float]) -> Statistic:
    array = np.array(values)

    def statistic(cases: NDArray[np.int64]) -> float:
        chosen = array[cases]
        return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else float("nan")

    return statistic
