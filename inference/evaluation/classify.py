"""A classifier over a data set: each picture or stack is a volume, answered as the node would answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_recall,
    binary_specificity,
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from inference.cards import Labels
from inference.datasets.example import DataSetError, Example, readable
from inference.datasets.layouts import examples_of
from inference.evaluation import plots
from inference.evaluation.figures import Evaluation, Figure, Gallery, Measure, Statistic, Table, bootstrap, numerous
from inference.evaluation.source import volume_of
from inference.findings import Classification
from inference.models import Classifier

_RESAMPLES = 500
_BINS = 15
#: Wrong answers that are shown, of all questions together.
_WORST = 12

_PER_CLASS: Mapping[str, Callable[..., Tensor]] = {
    "sensitivity": binary_recall,
    "specificity": binary_specificity,
    "AUC": binary_auroc,
}


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A picture, what is known of it, and what was answered."""

    example: Example
    #: Its middle slice.
    picture: Image.Image
    answers: Mapping[str, Classification]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.example.labels


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One question over the cases that have a truth for it: scores (n, classes), labels (n)."""

    question: str
    classes: Sequence[str]
    cases: Sequence[_Case]
    scores: Tensor
    labels: Tensor
    minimum: float

    @property
    def subjects(self) -> list[str]:
        return [case.example.subject for case in self.cases]


def evaluate(model: Classifier, root: Path, split: str, layout: str = "") -> Evaluation:
    """Every question of the card, over the examples of the split that have a truth for it: under the label its card
    names, or else under the question's own name. Raises DataSetError where there is none for any question."""
    card, figures, tables, galleries = model.package.card, list[Figure](), list[Table](), list[Gallery]()
    cases = [
        _Case(example, plots.small(stack.pixels[len(stack.pixels) // 2]), model.answers(volume_of(stack)))
        for example, stack in readable(examples_of(root, split, layout))
    ]
    for question, classes in card.questions.items():
        rule = card.labels.get(question, Labels(column=question))
        minimum = card.operating_point.minimum_score.get(question, 0.0)
        asked = _asked(question, classes, rule, cases, minimum)
        if not asked.cases:
            continue
        figures += [bootstrap(measure, asked.subjects, _RESAMPLES) for measure in _measures(asked)]
        figures += _outside(asked, rule, cases)
        tables.append(_confusion(asked))
        galleries += _galleries(asked, max(1, _WORST // len(card.questions)))
    if not figures:
        raise DataSetError(f"{root}: nothing of split {split!r} has a label for {', '.join(card.questions)}")
    return Evaluation(
        package=card.name,
        version=card.version,
        weights_sha256=card.weights_sha256,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len({case.example.subject for case in cases}),
        resamples=_RESAMPLES,
        figures=tuple(figures),
        tables=tuple(tables),
        galleries=tuple(galleries),
    )


def asks(labels: Labels, classes: Sequence[str], row: Mapping[str, str]) -> bool:
    """Whether a row has a truth for the question."""
    return row.get(labels.column) in classes and all(row.get(name) == value for name, value in labels.where.items())


def is_outside(labels: Labels, classes: Sequence[str], row: Mapping[str, str]) -> bool:
    """Whether a row comes as far as the question and is none of its classes."""
    return row.get(labels.column, "") not in ("", *classes) and all(
        row.get(name) == value for name, value in labels.where.items()
    )


def _asked(question: str, classes: Sequence[str], rule: Labels, cases: Sequence[_Case], minimum: float) -> _Asked:
    chosen = [case for case in cases if asks(rule, classes, case.labels)]
    scores = [[score for _, score in case.answers[question].scores] for case in chosen]
    labels = [classes.index(case.labels[rule.column]) for case in chosen]
    return _Asked(question, classes, chosen, torch.tensor(scores), torch.tensor(labels), minimum)


def _measures(asked: _Asked) -> Iterator[Measure]:
    """Of all cases, of each source, of each class against the others."""
    question, classes = asked.question, asked.classes
    yield Measure(f"{question}: accuracy", _over(asked, multiclass_accuracy, average="micro"))
    yield Measure(f"{question}: balanced accuracy", _over(asked, _balanced_accuracy))
    yield Measure(f"{question}: calibration error", _over(asked, multiclass_calibration_error, n_bins=_BINS))
    yield Measure(
        f"{question}: turned away",
        lambda cases: float((asked.scores[torch.from_numpy(cases)].max(1).values < asked.minimum).float().mean()),
    )
    for source, count in numerous([case.labels.get("source", "") for case in asked.cases]).items():
        yield Measure(f"{question}: accuracy, source {source}", _of_source(asked, source), source=source, cases=count)
    for number, name in enumerate(classes):
        is_class = asked.labels == number
        if is_class.any() and not is_class.all():
            for figure, compute in _PER_CLASS.items():
                statistic = _of_class(asked, compute, number)
                yield Measure(f"{question}: {name}, {figure}", statistic, class_name=name)


def _over(asked: _Asked, compute: Callable[..., Tensor], **settings: object) -> Statistic:
    def statistic(cases: NDArray[np.int64]) -> float:
        chosen = torch.from_numpy(cases)
        return float(compute(asked.scores[chosen], asked.labels[chosen], num_classes=len(asked.classes), **settings))

    return statistic


def _balanced_accuracy(scores: Tensor, labels: Tensor, *, num_classes: int) -> Tensor:
    """Mean sensitivity of the classes that are there: torchmetrics' own mean counts one that a resample lacks as
    missed altogether."""
    return multiclass_accuracy(scores, labels, num_classes=num_classes, average="none")[labels.unique()].mean()


def _of_source(asked: _Asked, source: str) -> Statistic:
    is_of_it = np.array([case.labels.get("source") == source for case in asked.cases])
    accuracy = _over(asked, multiclass_accuracy, average="micro")

    def statistic(cases: NDArray[np.int64]) -> float:
        chosen = cases[is_of_it[cases]]
        return accuracy(chosen) if len(chosen) else float("nan")

    return statistic


def _of_class(asked: _Asked, compute: Callable[..., Tensor], number: int) -> Statistic:
    def statistic(cases: NDArray[np.int64]) -> float:
        chosen = torch.from_numpy(cases)
        is_class, score = asked.labels[chosen] == number, asked.scores[chosen, number]
        if is_class.all() or not is_class.any():
            return float("nan")
        called = (asked.scores[chosen].argmax(1) == number).float()
        return float(compute(score if compute is binary_auroc else called, is_class.long()))

    return statistic


def _outside(asked: _Asked, rule: Labels, cases: Sequence[_Case]) -> Iterator[Figure]:
    """How much of what is none of the classes is turned away."""
    strange = [case for case in cases if is_outside(rule, asked.classes, case.labels)]
    if not strange:
        return
    refused = np.array([case.answers[asked.question].score < asked.minimum for case in strange])
    measure = Measure(f"{asked.question}: outside turned away", lambda chosen: float(refused[chosen].mean()))
    yield bootstrap(measure, [case.example.subject for case in strange], _RESAMPLES)


def _confusion(asked: _Asked) -> Table:
    counts = multiclass_confusion_matrix(asked.scores, asked.labels, num_classes=len(asked.classes))
    rows = tuple((name, *(str(int(count)) for count in row)) for name, row in zip(asked.classes, counts, strict=True))
    return Table(f"{asked.question}: answers (across) to truths (down)", ("truth", *asked.classes), rows)


def _galleries(asked: _Asked, shown: int) -> tuple[Gallery, ...]:
    sure, answer = asked.scores.max(1)
    wrong = [index for index in sure.argsort(descending=True).tolist() if answer[index] != asked.labels[index]]
    worst = tuple(
        plots.thumbnail(
            asked.cases[index].picture,
            f"{asked.cases[index].example.name}: {asked.classes[int(asked.labels[index])]}, answered "
            f"{asked.classes[int(answer[index])]} {float(sure[index]):.2f}",
        )
        for index in wrong[:shown]
    )
    curves = (
        plots.reliability(f"{asked.question}: reliability", asked.scores, asked.labels),
        plots.roc(f"{asked.question}: ROC", asked.classes, asked.scores, asked.labels),
    )
    return Gallery(f"{asked.question}: curves", curves), Gallery(f"{asked.question}: surest wrong answers", worst)
