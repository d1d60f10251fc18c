"""Commands that make and judge model packages."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from dicom_node import tables
from dicom_node.logs import configure_logging
from dicom_node.progress import Progress
from dicom_node.terminal import WRONG_SETTINGS, OutOption, err_console, fail, out_console


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
) -> None:
    """How good a package is on pictures it has not seen, with intervals: a page and a JSON file."""
    from inference.evaluation.run import EvaluationError  # noqa: PLC0415  # torch takes seconds to import
    from inference.evaluation.run import evaluate as measure  # noqa: PLC0415

    configure_logging("warning")
    try:
        evaluation = measure(package, data, split, out)
    except EvaluationError as error:
        fail(str(error), WRONG_SETTINGS)
    out_console.print(tables.evaluation_table(evaluation))
    typer.echo(f"evaluation.html and evaluation.json are in {out}")
