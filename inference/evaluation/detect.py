"""A detector over a folder of boxes: average precision, and what it finds at which price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference.evaluation.figures import Evaluation, Statistic, Table, bootstrap
from inference.evaluation.source import stack_volume
from inference.findings import Region
from inference.models import Detector
from inference.training.boxes import BoxedPictures, read_labels
from inference.training.boxes import pictures_of as pictures_in
from inference.training.detect import at_threshold, average_precision

#: Each resample computes the whole curve.
_RESAMPLES = 200
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_ALL_BOXES = 0.01


def evaluate(model: Detector, root: Path, split: str) -> Evaluation:
    """Average precision over all boxes, and sensitivity and boxes in vain at the card's threshold and at others."""
    card = model.package.card
    ((_, classes),) = card.questions.items()
    names, found, truths = [], list[list[Region]](), []
    for path, pixels in pictures_in(root / "images" / split):
        rows, columns = pixels.shape
        size = torch.tensor([columns, rows] * 2)
        boxes = model.boxes(stack_volume([pixels]), threshold=_ALL_BOXES)
        found.append([_scaled(box, rows, columns) for box in boxes])
        labels = read_labels(root / "labels" / split / f"{path.stem}.txt", len(classes))[:, 1:]
        corners = torch.cat([labels[:, :2] - labels[:, 2:] / 2, labels[:, :2] + labels[:, 2:] / 2], 1)
        truths.append((corners * size).clamp(min=0).minimum(size) / size)
        names.append(path.stem)

    def over(name: str, threshold: float | None = None) -> Statistic:
        def statistic(cases: NDArray[np.int64]) -> float:
            chosen = [found[index] for index in cases], _boxes([truths[index] for index in cases])
            return (average_precision(*chosen) if threshold is None else at_threshold(*chosen, threshold))[name]

        return statistic

    at = card.operating_point.threshold
    statistics = {
        "AP50": over("AP50"),
        "AP50-95": over("AP50-95"),
        f"precision above {at:g}": over("precision", at),
        f"sensitivity above {at:g}": over("sensitivity", at),
        f"boxes in vain per picture above {at:g}": over("boxes in vain per picture", at),
    }
    curve = [at_threshold(found, _boxes(truths), threshold) for threshold in _THRESHOLDS]
    header = ("threshold", "sensitivity", "boxes in vain per picture", "precision")
    return Evaluation(
        package=card.name,
        version=card.version,
        digest=model.package.digest,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len(names),
        resamples=_RESAMPLES,
        figures=tuple(bootstrap(name, statistic, names, _RESAMPLES) for name, statistic in statistics.items()),
        tables=(Table("free response", header, tuple(tuple(f"{row[key]:.3f}" for key in header) for row in curve)),),
    )


def _scaled(box: Region, rows: int, columns: int) -> Region:
    """The box in parts of the picture."""
    edges = box.left / columns, box.top / rows, box.right / columns, box.bottom / rows
    return Region(box.label, box.score, box.slice_index, *edges)


def _boxes(truths: list[torch.Tensor]) -> BoxedPictures:
    classes = tuple(torch.zeros(len(boxes), dtype=torch.long) for boxes in truths)
    return BoxedPictures(torch.zeros(len(truths), 0), tuple(truths), classes)
