"""A classifier over a labels.csv: each picture is a volume of one slice, answered as the node would answer it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_recall,
    binary_specificity,
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from inference.cards import Labels
from inference.evaluation.figures import Evaluation, Figure, Statistic, Table, bootstrap
from inference.evaluation.source import picture_volume
from inference.models import Classifier

_RESAMPLES = 500
_BINS = 15


def evaluate(model: Classifier, root: Path, split: str) -> Evaluation:
    """Every question of the card, over the rows of the split that have a truth for it: in the column its card names,
    or else in one of the question's own name."""
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    card, figures, tables = model.package.card, list[Figure](), list[Table]()
    answers = [model.answers(picture_volume(root / row["path"])) for row in rows]
    for question, classes in card.questions.items():
        rule = card.labels.get(question, Labels(column=question))
        asked = [index for index, row in enumerate(rows) if asks(rule, classes, row)]
        if not asked:
            continue
        labels = np.array([classes.index(rows[index][rule.column]) for index in asked])
        scores = np.array([[score for _, score in answers[index][question].scores] for index in asked], np.float32)
        subjects = [rows[index]["subject"] for index in asked]
        minimum = card.operating_point.minimum_score.get(question, 0.0)
        statistics = _statistics(classes, torch.from_numpy(scores), torch.from_numpy(labels), minimum)
        figures += [
            bootstrap(f"{question}: {name}", statistic, subjects, _RESAMPLES) for name, statistic in statistics.items()
        ]
        tables.append(_confusion(question, classes, scores, labels))
    return Evaluation(
        package=card.name,
        version=card.version,
        digest=model.package.digest,
        task=card.task,
        data=root.name,
        split=split,
        subjects=len({row["subject"] for row in rows}),
        resamples=_RESAMPLES,
        figures=tuple(figures),
        tables=tuple(tables),
    )


def asks(labels: Labels, classes: Sequence[str], row: Mapping[str, str]) -> bool:
    """Whether a row has a truth for the question."""
    return row.get(labels.column) in classes and all(row.get(name) == value for name, value in labels.where.items())


def _statistics(
    classes: Sequence[str], scores: torch.Tensor, labels: torch.Tensor, minimum: float
) -> dict[str, Statistic]:
    """By name, over chosen cases."""
    count = len(classes)

    def over(compute: Callable[..., torch.Tensor], **settings: object) -> Statistic:
        def statistic(cases: NDArray[np.int64]) -> float:
            chosen = torch.from_numpy(cases)
            return float(compute(scores[chosen], labels[chosen], num_classes=count, **settings))

        return statistic

    def of_class(compute: Callable[..., torch.Tensor], number: int) -> Statistic:
        def statistic(cases: NDArray[np.int64]) -> float:
            chosen = torch.from_numpy(cases)
            is_class, score = labels[chosen] == number, scores[chosen, number]
            if is_class.all() or not is_class.any():
                return float("nan")
            called = (scores[chosen].argmax(1) == number).float()
            return float(compute(score if compute is binary_auroc else called, is_class.long()))

        return statistic

    found: dict[str, Statistic] = {
        "accuracy": over(multiclass_accuracy, average="micro"),
        "balanced accuracy": over(multiclass_accuracy, average="macro"),
        "calibration error": over(multiclass_calibration_error, n_bins=_BINS),
        "turned away": lambda cases: float((scores[torch.from_numpy(cases)].max(1).values < minimum).float().mean()),
    }
    per_class: dict[str, Callable[..., torch.Tensor]] = {
        "sensitivity": binary_recall,
        "specificity": binary_specificity,
        "AUC": binary_auroc,
    }
    for number, name in enumerate(classes):
        if (labels == number).any() and not (labels == number).all():
            found |= {f"{name}, {figure}": of_class(compute, number) for figure, compute in per_class.items()}
    return found


def _confusion(question: str, classes: Sequence[str], scores: NDArray[np.float32], labels: NDArray[np.int64]) -> Table:
    counts = multiclass_confusion_matrix(torch.from_numpy(scores), torch.from_numpy(labels), num_classes=len(classes))
    rows = tuple((name, *(str(int(count)) for count in row)) for name, row in zip(classes, counts, strict=True))
    return Table(f"{question}: answers (across) to truths (down)", ("truth", *classes), rows)
