"""`dicom-node evaluate`: one package on one split of a data set, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from html import escape
from pathlib import Path

from inference.evaluation import classify, detect, segment
from inference.evaluation.figures import Evaluation, Figure, Table
from inference.models import Classifier, Detector, Model, Segmenter, load
from inference.registry import BrokenPackage, open_package


class EvaluationError(ValueError):
    """A package or a data set that cannot be evaluated; says which and why."""


#: Kind of model -> what marks a data set for it, and who measures.
_KINDS: tuple[tuple[type[Model], str, Callable[..., Evaluation]], ...] = (
    (Classifier, "labels.csv", classify.evaluate),
    (Segmenter, "index.csv", segment.evaluate),
    (Detector, "images", detect.evaluate),
)


def evaluate(folder: Path, data: Path, split: str, out: Path) -> Evaluation:
    """Measure the package in `folder` on the split of the data set in `data`; leave evaluation.json and
    evaluation.html in `out`. Raises EvaluationError."""
    package = open_package(folder)
    model = package if isinstance(package, BrokenPackage) else load(package)
    if isinstance(model, BrokenPackage):
        raise EvaluationError(f"{folder}: {model.reason}")
    marker, measure = next((marker, measure) for kind, marker, measure in _KINDS if isinstance(model, kind))
    if not (data / marker).exists():
        task = model.package.card.task
        raise EvaluationError(f"{data} has no {marker}, so that it is no data set for {task}; name its folder")
    evaluation = measure(model, data, split)
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(asdict(evaluation), indent=2), encoding="utf-8")
    (out / "evaluation.html").write_text(page(evaluation), encoding="utf-8")
    return evaluation


def page(evaluation: Evaluation) -> str:
    """One HTML page that needs nothing else."""
    title = f"{evaluation.package} {evaluation.version} on {evaluation.data}, {evaluation.split}"
    figures = Table(
        "figures",
        ("figure", "value", "95 % interval", "cases"),
        tuple(_row(figure) for figure in evaluation.figures),
    )
    tables = "".join(_html(table) for table in (figures, *evaluation.tables))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; max-width: 60rem }}
table {{ border-collapse: collapse; margin-bottom: 2rem }}
td, th {{ border: 1px solid #bbb; padding: .2rem .6rem; text-align: right }}
td:first-child, th {{ text-align: left }}
</style>
<h1>{escape(title)}</h1>
<p>Research use only. Digest {evaluation.digest[:16]}; {evaluation.subjects} subjects; intervals by
{evaluation.resamples} bootstrap resamples over subjects.</p>
{tables}
</html>
"""


def _row(figure: Figure) -> tuple[str, ...]:
    return figure.name, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.cases)


def _html(table: Table) -> str:
    header = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table><tr>{header}</tr>\n{rows}</table>\n"
