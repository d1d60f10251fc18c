"""`dicom-node evaluate`: one package on one split of a data set, as JSON and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from inference.cards import CARD_FILE, Card, CardFigure
from inference.compiled import Compiling
from inference.datasets.example import DataSetError
from inference.datasets.layouts import layout_of
from inference.evaluation import classify, detect, segment
from inference.evaluation.compare import EVALUATION_FILE
from inference.evaluation.figures import Evaluation, Figure, Table
from inference.evaluation.page import html_page
from inference.models import Classifier, Detector, Model, Segmenter, load
from inference.registry import BrokenPackage, Package, open_package


class EvaluationError(ValueError):
    """A package or a data set that cannot be evaluated; says which and why."""


#: Kind of model -> who measures it.
_KINDS: tuple[tuple[type[Model], Callable[..., Evaluation]], ...] = (
    (Classifier, classify.evaluate),
    (Segmenter, segment.evaluate),
    (Detector, detect.evaluate),
)


def evaluate(folder: Path, data: Path, split: str, out: Path, layout: str = "") -> Evaluation:
    """Measure the package in `folder` on the split of the data set in `data`, whose layout is recognised if it is not
    named; leave evaluation.json and evaluation.html in `out`. Raises EvaluationError."""
    package = open_package(folder)
    model = package if isinstance(package, BrokenPackage) else load(package, _way(package))
    if isinstance(model, BrokenPackage):
        raise EvaluationError(f"{folder}: {model.reason}")
    evaluation = measured(model, data, split, layout)
    keep(evaluation, out)
    return evaluation


def _way(package: Package) -> Compiling | None:
    """In torch, but for packages with an int8 network: their figures are its own."""
    return None if package.card.quantisation is None else Compiling()


def measured(model: Model, data: Path, split: str, layout: str = "") -> Evaluation:
    """A model, whatever runs it, on the split of a data set. Raises EvaluationError."""
    measure = next(measure for kind, measure in _KINDS if isinstance(model, kind))
    task = model.package.card.task
    try:
        known = layout_of(data, layout)
        if task not in known.tasks:
            raise EvaluationError(f"{data} is a data set of layout {known.name}, which has nothing for {task}")
        return measure(model, data, split, known.name)
    except DataSetError as error:
        raise EvaluationError(str(error)) from error


def keep(evaluation: Evaluation, out: Path) -> None:
    """Leave evaluation.json and evaluation.html in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    content = {name: part for name, part in asdict(evaluation).items() if name != "galleries"}
    content["figures"] = [{key: _known(value) for key, value in figure.items()} for figure in content["figures"]]
    (out / EVALUATION_FILE).write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    (out / "evaluation.html").write_text(page(evaluation), encoding="utf-8")


def card_figures(evaluation: Evaluation) -> tuple[CardFigure, ...]:
    """What of an evaluation belongs into the package's card: every figure that is a number."""
    return tuple(
        CardFigure(
            name=figure.name,
            value=round(figure.value, 4),
            low=round(figure.low, 4),
            high=round(figure.high, 4),
            cases=figure.cases,
            source=figure.source,
            class_name=figure.class_name,
        )
        for figure in evaluation.figures
        if all(math.isfinite(number) for number in (figure.value, figure.low, figure.high))
    )


def write_card(folder: Path, evaluation: Evaluation) -> None:
    """Put the figures into the card of the package in `folder`, whose weights stay as they are. Raises
    EvaluationError for those of the training split, which say nothing of other pictures."""
    if evaluation.split == "train":
        raise EvaluationError("figures of the training split do not belong in a card; evaluate another split")
    card = Card.model_validate_json((folder / CARD_FILE).read_bytes())
    card.model_copy(update={"figures": card_figures(evaluation)}).save(folder)


def _known(value: object) -> object:
    """None for what is no number: JSON knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def page(evaluation: Evaluation) -> str:
    """One HTML page that needs nothing else."""
    title = f"{evaluation.package} {evaluation.version} on {evaluation.data}, {evaluation.split}"
    introduction = (
        f"Research use only. Weights {evaluation.weights_sha256[:16]}; {evaluation.subjects} subjects; intervals by "
        f"{evaluation.resamples} bootstrap resamples over subjects."
    )
    figures = Table(
        "figures",
        ("figure", "value", "95 % interval", "cases"),
        tuple(_row(figure) for figure in evaluation.figures),
    )
    return html_page(title, introduction, (figures, *evaluation.tables, *evaluation.galleries))


def _row(figure: Figure) -> tuple[str, ...]:
    return figure.name, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.cases)
