"""A recipe becomes a model package: train, store, judge what was stored, write the card."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from inference.cards import CARD_FILE, WEIGHTS_FILE, Card, Labels, Training
from inference.datasets.example import DataSetError
from inference.datasets.layouts import layout_of
from inference.evaluation.run import EvaluationError, evaluate, write_card
from inference.findings import Task
from inference.registry import BrokenPackage, Package, open_package, sha256_of
from inference.training.classify import ClassifierCourse
from inference.training.detect import DetectorCourse
from inference.training.loop import Course, Step, fit
from inference.training.recipe import Recipe, RecipeError, load_recipe
from inference.training.segment import SegmenterCourse
from inference.weights_file import load_weights, save_weights

log = logging.getLogger(__name__)

_COURSES: dict[Task, Callable[[Recipe, torch.device], Course]] = {
    Task.CLASSIFICATION: ClassifierCourse,
    Task.SEGMENTATION: SegmenterCourse,
    Task.DETECTION: DetectorCourse,
}


def train(recipe_path: Path, out: Path, *, today: datetime.date, on_step: Callable[[Step], None]) -> Package:
    """Follow a recipe, or go on where `out` stands, and leave a package in `out`/package.

    Raises RecipeError when the recipe cannot be followed or its pictures are not there.
    """
    recipe = load_recipe(recipe_path)
    if not recipe.data.root.is_dir():
        raise RecipeError(
            f"{recipe_path}: data.root: {recipe.data.root} is no folder; put the pictures there or change the key"
        )
    torch.manual_seed(recipe.seed)
    try:
        if recipe.task not in layout_of(recipe.data.root, recipe.data.layout).tasks:
            raise RecipeError(f"{recipe_path}: data.layout: {recipe.data.layout} has nothing for {recipe.task}")
        course = _COURSES[recipe.task](recipe, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    except DataSetError as error:
        raise RecipeError(f"{recipe_path}: {error}") from error
    fit(course, recipe, out, on_step)
    folder = out / "package"
    folder.mkdir(exist_ok=True)
    save_weights(course.network.state_dict(), folder / WEIGHTS_FILE)
    course.network.load_state_dict(load_weights(folder / WEIGHTS_FILE))
    metrics, operating_point = course.judge()
    log.info("figures of the package: %s", metrics, extra={"action": "package_judged"})
    Card(
        name=recipe.name,
        version=recipe.version,
        manufacturer=recipe.manufacturer,
        task=recipe.task,
        architecture=recipe.architecture,
        questions=recipe.classes,
        labels={
            name: Labels(column=question.column, where=question.where)
            for name, question in recipe.questions.items()
            if question.column
        },
        preparation=recipe.preparation,
        operating_point=operating_point,
        planes=recipe.planes,
        intended_use=recipe.intended_use,
        inputs=recipe.inputs,
        limitations=recipe.limitations,
        known_failures=recipe.known_failures,
        training=Training(recipe=recipe_path.name, date=today.isoformat(), sources=recipe.data.sources),
        metrics={name: round(value, 4) for name, value in metrics.items()},
        licence=recipe.licence,
        research_only=True,
        weights_sha256=sha256_of(folder / WEIGHTS_FILE),
    ).save(folder)
    package = open_package(folder)
    if isinstance(package, BrokenPackage):
        raise RecipeError(f"{recipe_path}: the package made is not usable: {package.reason}")
    try:
        write_card(folder, evaluate(folder, recipe.data.root, "valid", out / "evaluation", recipe.data.layout))
    except EvaluationError as error:
        raise RecipeError(f"{folder} is made, its card has no intervals: {error}") from error
    return Package(folder, Card.model_validate_json((folder / CARD_FILE).read_bytes()), sha256_of(folder / CARD_FILE))
