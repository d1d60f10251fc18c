"""A detector over a folder of boxes: average precision, and what it finds at which price."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score
from numpy.typing import NDArray
from PIL import Image

from inference.datasets.example import DataSetError, readable
from inference.datasets.layouts import examples_of
from inference.evaluation.figures import (
    Evaluation,
    Figure,
    Gallery,
    Measure,
    Picture,
    Statistic,
    Table,
    bootstrap,
    numerous,
)
from inference.evaluation.plots import free_response, small, with_boxes
from inference.evaluation.source import volume_of
from inference.findings import Region
from inference.models import Detector
from inference.training.boxes import BoxedPictures, corners_of
from inference.training.detect import at_threshold, average_precision, meets

#: Average precision of each resample takes its time.
_RESAMPLES = 200
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_ALL_BOXES = 0.01
#: Boxes in vain per picture at which the sensitivity is told.
_IN_VAIN = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2, "1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}
#: Pictures that are shown of either kind of mistake.
_WORST = 6
#: Named numbers of some pictures: of what was found in them, and of their truths.
_Compute = Callable[[list[list[Region]], BoxedPictures], dict[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """A picture: boxes that were found, the truths (n, 4), both in parts of the picture."""

    name: str
    subject: str
    source: str
    picture: Image.Image
    found: list[Region]
    truths: torch.Tensor


def evaluate(model: Detector, root: Path, split: str, layout: str = "") -> Evaluation:
    """Average precision over all boxes, free response, and sensitivity and boxes in vain at the card's threshold.
    Raises DataSetError where nobody drew a box."""
    card = model.package.card
    answered = list(_answers(model, root, split, layout))
    if not any(len(each.truths) for each in answered):
        raise DataSetError(f"{root}: nothing of split {split!r} has a box")
    at, subjects = card.operating_point.threshold, [each.subject for each in answered]
    figures = tuple(bootstrap(measure, subjects, _RESAMPLES) for measure in _measures(answered, at))
    return Evaluation(
        package=card.name,
        version=card.version,
        weights_sha256=card.weights_sha256,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len(set(subjects)),
        resamples=_RESAMPLES,
        figures=figures,
        tables=(_free_response_table(figures), _threshold_table(answered)),
        galleries=_galleries(answered, at),
    )


def _answers(model: Detector, root: Path, split: str, layout: str) -> Iterator[_Answered]:
    for example, stack in readable(examples_of(root, split, layout)):
        if stack.boxes is None:
            continue
        _, rows, columns = stack.pixels.shape
        found = [_scaled(box, rows, columns) for box in model.boxes(volume_of(stack), threshold=_ALL_BOXES)]
        source, picture = example.labels.get("source", ""), small(stack.pixels[0])
        yield _Answered(example.name, example.subject, source, picture, found, corners_of(stack.boxes))


def _measures(answered: Sequence[_Answered], threshold: float) -> Iterator[Measure]:
    everything = np.ones(len(answered), np.bool_)
    precisions = _over(answered, everything, average_precision)
    yield Measure("AP50", precisions("AP50"))
    yield Measure("AP50-95", precisions("AP50-95"))
    sensitivities = _over(answered, everything, _free_response_at)
    yield Measure("mean sensitivity at 1/8 to 8 boxes in vain per picture", sensitivities("mean"))
    for rate in _IN_VAIN:
        yield Measure(_at_rate(rate), sensitivities(rate))
    points = _over(answered, everything, lambda found, truths: at_threshold(found, truths, threshold))
    for name in ("precision", "sensitivity", "boxes in vain per picture"):
        yield Measure(f"{name} above {threshold:g}", points(name))
    for source, count in numerous([each.source for each in answered]).items():
        of_it = _over(answered, np.array([each.source == source for each in answered]), average_precision)
        yield Measure(f"AP50, source {source}", of_it("AP50"), source=source, cases=count)


def _over(answered: Sequence[_Answered], included: NDArray[np.bool_], compute: _Compute) -> Callable[[str], Statistic]:
    """A statistic for each name that `compute` gives, over the included pictures: every figure is asked about the same
    resamples, so each is computed once for all names. NaN where a resample has no truth."""

    @cache
    def numbers(drawn: bytes) -> dict[str, float]:
        cases = np.frombuffer(drawn, np.int64)
        chosen = [answered[index] for index in cases[included[cases]]]
        if not any(len(each.truths) for each in chosen):
            return {}
        return compute([each.found for each in chosen], _boxes(chosen))

    return lambda name: lambda cases: numbers(cases.astype(np.int64).tobytes()).get(name, float("nan"))


def _free_response(found: list[list[Region]], truths: BoxedPictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes in vain per picture and sensitivity, for falling thresholds; each truth is met once, by its best box."""
    right, wrong = [], [0.0]  # the score of 0 is the lowest threshold, which MONAI leaves out
    for boxes, corners in zip(found, truths.boxes, strict=True):
        met = meets(boxes, corners)
        right += [box.score for box, hit in zip(boxes, met, strict=True) if hit]
        wrong += [box.score for box, hit in zip(boxes, met, strict=True) if not hit]
    total = sum(map(len, truths.boxes))
    return compute_froc_curve_data(np.array(wrong), np.array(right), max(total, 1), max(len(found), 1))


def _free_response_at(found: list[list[Region]], truths: BoxedPictures) -> dict[str, float]:
    """Sensitivity at each rate of boxes in vain; beyond the last box, that of all boxes."""
    curve = _free_response(found, truths)
    rates = {"mean": tuple(_IN_VAIN.values()), **{name: (rate,) for name, rate in _IN_VAIN.items()}}
    return {name: float(compute_froc_score(*curve, eval_thresholds=at)) for name, at in rates.items()}


def _at_rate(rate: str) -> str:
    return f"sensitivity at {rate} boxes in vain per picture"


def _free_response_table(figures: Sequence[Figure]) -> Table:
    by_name = {figure.name: figure for figure in figures}
    rows = tuple(
        (rate, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}")
        for rate, figure in ((rate, by_name[_at_rate(rate)]) for rate in _IN_VAIN)
    )
    return Table("free response", ("boxes in vain per picture", "sensitivity", "95 % interval"), rows)


def _threshold_table(answered: Sequence[_Answered]) -> Table:
    header = ("threshold", "sensitivity", "boxes in vain per picture", "precision")
    found = [each.found for each in answered]
    points = [at_threshold(found, _boxes(answered), threshold) for threshold in _THRESHOLDS]
    return Table("thresholds", header, tuple(tuple(f"{point[key]:.3f}" for key in header) for point in points))


@dataclass(frozen=True, slots=True, eq=False)
class _Mistakes:
    """Of one picture at the card's threshold: boxes shown, score of the surest in vain (0: none), truths missed."""

    answered: _Answered
    shown: list[Region]
    surest: float
    missed: int

    def drawn(self, told: str) -> Picture:
        truths = self.answered.truths.numpy().astype(np.float64)
        return with_boxes(self.answered.picture, truths, self.shown, f"{self.answered.name}: {told}")


def _mistakes(answered: _Answered, threshold: float) -> _Mistakes:
    shown = [box for box in answered.found if box.score > threshold]
    met = meets(shown, answered.truths)
    surest = max((box.score for box, hit in zip(shown, met, strict=True) if not hit), default=0.0)
    return _Mistakes(answered, shown, surest, len(answered.truths) - sum(met))


def _galleries(answered: Sequence[_Answered], threshold: float) -> tuple[Gallery, ...]:
    curve = _free_response([each.found for each in answered], _boxes(answered))
    made = [_mistakes(each, threshold) for each in answered]
    in_vain = sorted((each for each in made if each.surest), key=lambda each: -each.surest)[:_WORST]
    missed = sorted((each for each in made if each.missed), key=lambda each: -each.missed)[:_WORST]
    return (
        Gallery("free response", (free_response("FROC", *curve),)),
        Gallery(
            "surest boxes in vain: truth in green, answer in orange",
            tuple(each.drawn(f"in vain at {each.surest:.2f}") for each in in_vain),
        ),
        Gallery("most boxes missed", tuple(each.drawn(f"{each.missed} missed") for each in missed)),
    )


def _scaled(box: Region, rows: int, columns: int) -> Region:
    """The box in parts of the picture."""
    edges = box.left / columns, box.top / rows, box.right / columns, box.bottom / rows
    return Region(box.label, box.score, box.slice_index, *edges)


def _boxes(answered: Sequence[_Answered]) -> BoxedPictures:
    truths = tuple(each.truths for each in answered)
    classes = tuple(torch.zeros(len(boxes), dtype=torch.long) for boxes in truths)
    return BoxedPictures(torch.zeros(len(truths), 0), truths, classes)
