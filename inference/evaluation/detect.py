"""A detector over a folder of boxes: average precision, and what it finds at which price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score
from numpy.typing import NDArray

from inference.datasets.example import readable
from inference.datasets.layouts import examples_of
from inference.evaluation.figures import Evaluation, Gallery, Measure, Picture, Statistic, Table, bootstrap
from inference.evaluation.plots import free_response, with_boxes
from inference.evaluation.source import volume_of
from inference.findings import Region
from inference.models import Detector
from inference.training.boxes import BoxedPictures, corners_of
from inference.training.detect import at_threshold, average_precision, meets

#: Each resample computes the whole curve.
_RESAMPLES = 200
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_ALL_BOXES = 0.01
#: Boxes in vain per picture at which the sensitivity is averaged.
_IN_VAIN = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
#: Sources of fewer pictures have no figures of their own.
_LEAST_OF_A_SOURCE = 20
_WORST = 8
_Compute = Callable[[list[list[Region]], BoxedPictures], float]


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """Picture by picture: grey values, boxes that were found, the truths (n, 4), both in parts of the picture."""

    names: list[str]
    subjects: list[str]
    sources: list[str]
    pictures: list[NDArray[np.float32]]
    found: list[list[Region]]
    truths: list[torch.Tensor]


def evaluate(model: Detector, root: Path, split: str) -> Evaluation:
    """Average precision over all boxes, free response, and sensitivity and boxes in vain at the card's threshold."""
    card = model.package.card
    answered = _answer(model, root, split)
    at = card.operating_point.threshold
    curve = [at_threshold(answered.found, _boxes(answered.truths), threshold) for threshold in _THRESHOLDS]
    header = ("threshold", "sensitivity", "boxes in vain per picture", "precision")
    return Evaluation(
        package=card.name,
        version=card.version,
        digest=model.package.digest,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len(set(answered.subjects)),
        resamples=_RESAMPLES,
        figures=tuple(bootstrap(measure, answered.subjects, _RESAMPLES) for measure in _measures(answered, at)),
        tables=(Table("thresholds", header, tuple(tuple(f"{row[key]:.3f}" for key in header) for row in curve)),),
        galleries=_galleries(answered, at),
    )


def _answer(model: Detector, root: Path, split: str) -> _Answered:
    answered = _Answered([], [], [], [], [], [])
    for example, stack in readable(examples_of(root, split)):
        if stack.boxes is None:
            continue
        _, rows, columns = stack.pixels.shape
        boxes = model.boxes(volume_of(stack), threshold=_ALL_BOXES)
        answered.names.append(example.name)
        answered.subjects.append(example.subject)
        answered.sources.append(example.labels.get("source", ""))
        answered.pictures.append(stack.pixels[0])
        answered.found.append([_scaled(box, rows, columns) for box in boxes])
        answered.truths.append(corners_of(stack.boxes))
    return answered


def _measures(answered: _Answered, threshold: float) -> Iterator[Measure]:
    def over(compute: _Compute, source: str = "") -> Statistic:
        is_of_it = np.array([not source or each == source for each in answered.sources])

        def statistic(cases: NDArray[np.int64]) -> float:
            chosen = cases[is_of_it[cases]]
            truths = [answered.truths[index] for index in chosen]
            if not sum(map(len, truths)):
                return float("nan")
            return compute([answered.found[index] for index in chosen], _boxes(truths))

        return statistic

    yield Measure("AP50", over(_ap("AP50")))
    yield Measure("AP50-95", over(_ap("AP50-95")))
    yield Measure("mean sensitivity at 1/8 to 8 boxes in vain per picture", over(_froc_score))
    for name in ("precision", "sensitivity", "boxes in vain per picture"):
        yield Measure(f"{name} above {threshold:g}", over(_at(name, threshold)))
    for source, count in sorted(Counter(answered.sources).items()):
        if source and count >= _LEAST_OF_A_SOURCE:
            yield Measure(
                f"AP50, source {source}",
                over(_ap("AP50"), source),
                source=source,
                cases=count,
            )


def _ap(name: str) -> _Compute:
    return lambda found, truths: average_precision(found, truths)[name]


def _at(name: str, threshold: float) -> _Compute:
    return lambda found, truths: at_threshold(found, truths, threshold)[name]


def _free_response(found: list[list[Region]], truths: BoxedPictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes in vain per picture and sensitivity, for falling thresholds; each truth is met once, by its best box."""
    right, wrong = [], [0.0]  # the score of 0 is the lowest threshold, which MONAI leaves out
    for boxes, corners in zip(found, truths.boxes, strict=True):
        met = meets(boxes, corners)
        right += [box.score for box, hit in zip(boxes, met, strict=True) if hit]
        wrong += [box.score for box, hit in zip(boxes, met, strict=True) if not hit]
    total = sum(map(len, truths.boxes))
    return compute_froc_curve_data(np.array(wrong), np.array(right), max(total, 1), max(len(found), 1))


def _froc_score(found: list[list[Region]], truths: BoxedPictures) -> float:
    return float(compute_froc_score(*_free_response(found, truths), eval_thresholds=_IN_VAIN))


def _galleries(answered: _Answered, threshold: float) -> tuple[Gallery, ...]:
    in_vain, sensitivity = _free_response(answered.found, _boxes(answered.truths))
    worst = []
    for index, (boxes, truths) in enumerate(zip(answered.found, answered.truths, strict=True)):
        shown = [box for box in boxes if box.score > threshold]
        met = meets(shown, truths)
        surest = max((box.score for box, hit in zip(shown, met, strict=True) if not hit), default=0.0)
        worst.append((surest, len(truths) - sum(met), index, shown))
    false = [case for case in sorted(worst, key=lambda case: -case[0]) if case[0] > 0][:_WORST]
    missed = [case for case in sorted(worst, key=lambda case: -case[1]) if case[1] > 0][:_WORST]

    def drawn(case: tuple[float, int, int, list[Region]], told: str) -> Picture:
        _, _, index, shown = case
        truths = answered.truths[index].numpy().astype(np.float64)
        return with_boxes(answered.pictures[index], truths, shown, f"{answered.names[index]}: {told}")

    return (
        Gallery("free response", (free_response("FROC", in_vain, sensitivity),)),
        Gallery(
            "surest boxes in vain: truth in green, answer in orange",
            tuple(drawn(case, f"in vain at {case[0]:.2f}") for case in false),
        ),
        Gallery("most boxes missed", tuple(drawn(case, f"{case[1]} missed") for case in missed)),
    )


def _scaled(box: Region, rows: int, columns: int) -> Region:
    """The box in parts of the picture."""
    edges = box.left / columns, box.top / rows, box.right / columns, box.bottom / rows
    return Region(box.label, box.score, box.slice_index, *edges)


def _boxes(truths: list[torch.Tensor]) -> BoxedPictures:
    classes = tuple(torch.zeros(len(boxes), dtype=torch.long) for boxes in truths)
    return BoxedPictures(torch.zeros(len(truths), 0), tuple(truths), classes)
