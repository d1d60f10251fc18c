"""Commands that make and judge model packages."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dicom_node import tables
from dicom_node.logs import configure_logging
from dicom_node.model_page import quantisation_table
from dicom_node.progress import Progress
from dicom_node.terminal import WRONG_SETTINGS, OutOption, err_console, fail, out_console
from inference.evaluation.compare import CompareError
from inference.evaluation.compare import compare as side_by_side


def train(recipe: Path, out: OutOption) -> None:
    """Train a model package by a recipe, or go on where it was interrupted."""
    from inference.training.recipe import RecipeError  # noqa: PLC0415  # torch takes seconds to import
    from inference.training.run import train as follow  # noqa: PLC0415

    configure_logging("info")
    today = datetime.datetime.now().astimezone().date()
    try:
        with Progress(err_console, what="batches") as progress:
            package = follow(recipe, out, today=today, on_step=progress.step)
    except RecipeError as error:
        fail(str(error), WRONG_SETTINGS)
    typer.echo(f"{package.card.name} {package.card.version} is in {package.folder}: {package.card.metrics}")


def evaluate(
    package: Annotated[Path, typer.Argument(help="Folder of a model package.")],
    data: Annotated[Path, typer.Argument(help="Folder of a data set, in a layout that recipes know.")],
    out: OutOption,
    split: Annotated[str, typer.Option(help="Which part of the data set.")] = "valid",
    layout: Annotated[str, typer.Option(help="How the data set lies in its folder; recognised if not named.")] = "",
    *,
    card: Annotated[bool, typer.Option("--write-card", help="Put the figures into the package's card.")] = False,
) -> None:
    """How good a package is on pictures it has not seen, with intervals: a page and a JSON file."""
    from inference.evaluation import run  # noqa: PLC0415  # torch takes seconds to import

    configure_logging("warning")
    try:
        evaluation = run.evaluate(package, data, split, out, layout)
        if card:
            run.write_card(package, evaluation)
    except run.EvaluationError as error:
        fail(str(error), WRONG_SETTINGS)
    out_console.print(tables.evaluation_table(evaluation))
    typer.echo(f"evaluation.html and evaluation.json are in {out}")


def quantise(
    package: Annotated[Path, typer.Argument(help="Folder of a model package.")],
    data: Annotated[Path, typer.Argument(help="Folder of the data set it was trained on, with its validation split.")],
    out: OutOption,
    layout: Annotated[str, typer.Option(help="How the data set lies in its folder; recognised if not named.")] = "",
) -> None:
    """A package with an int8 network beside its weights, if it is as good on validation pictures; else the figures."""
    from inference import quantised  # noqa: PLC0415  # torch takes seconds to import
    from inference.evaluation.run import EvaluationError  # noqa: PLC0415

    configure_logging("warning")
    try:
        made = quantised.quantise(package, data, out, layout)
    except EvaluationError as error:
        fail(str(error), WRONG_SETTINGS)
    except quantised.QuantisationError as error:
        fail(str(error))
    out_console.print(tables.plain_table(quantisation_table(made.card)))
    typer.echo(f"{made.card.name} {made.card.version} is in {made.folder}, both evaluations beside it")


def compare(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders that `evaluate` wrote, or their evaluation.json.")],
    out: OutOption,
) -> None:
    """Evaluations of several packages on the same data, side by side: a table, as Markdown and as JSON."""
    try:
        comparison = side_by_side(evaluations)
    except CompareError as error:
        fail(str(error), WRONG_SETTINGS)
    out.mkdir(parents=True, exist_ok=True)
    (out / "compare.md").write_text(comparison.markdown(), encoding="utf-8")
    (out / "compare.json").write_text(json.dumps(asdict(comparison), indent=2, allow_nan=False), encoding="utf-8")
    out_console.print(tables.plain_table(comparison.table()))
    typer.echo(f"compare.md and compare.json are in {out}")
