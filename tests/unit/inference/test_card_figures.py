"""The card of a package says how good it is: figures with intervals, from the evaluation of what was stored."""

import datetime
import json
import math
from dataclasses import replace

import pytest
import yaml

from inference.evaluation.figures import Evaluation, Figure
from inference.evaluation.run import EvaluationError, card_figures, evaluate, write_card
from inference.registry import open_package
from inference.training.recipe import RecipeError
from inference.training.run import train
from tests.builders import pictures
from tests.builders.packages import write_package

TODAY = datetime.date(2026, 11, 20)


def recipe(path, root, layout="lgg-index"):
    """The shortest training there is: one epoch, one batch."""
    content = {
        "name": "outlines",
        "version": "0.1.0",
        "manufacturer": "tests",
        "task": "segmentation",
        "architecture": "res50-unet",
        "seed": 3,
        "questions": {"lesion": {"classes": ["tumour"], "column": "mask"}},
        "preparation": {"size": 32, "use_window": False},
        "data": {
            "layout": layout,
            "root": str(root),
            "per_epoch": 4,
            "sources": [{"name": "drawn", "pictures": 4, "terms": "none"}],
        },
        "phases": [{"size": 32, "epochs": 1, "batch": 4, "learning_rate": 0.001}],
        "intended_use": "tests",
        "limitations": ["means nothing"],
        "licence": "none",
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_training_leaves_figures_in_the_card(tmp_path):
    """The same as in the evaluation beside the package, which is whole."""
    path = recipe(tmp_path / "recipe.yaml", pictures.outlined(tmp_path / "data"))
    package = train(path, tmp_path / "out", today=TODAY, on_step=lambda _: None)
    written = json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
    values = {each["name"]: each["value"] for each in written["figures"] if each["value"] is not None}
    assert {figure.name for figure in package.card.figures} <= set(values)
    assert {figure.name: figure.value for figure in package.card.figures}["Dice"] == round(values["Dice"], 4)
    assert open_package(package.folder) == package


def test_the_layout_of_the_recipe_is_the_layout_of_the_judgement(tmp_path):
    """Also where the folder looks like another one."""
    root = pictures.outlined(tmp_path / "data")
    (root / "labels.csv").write_text("path,split,subject,modality\na.jpg,valid,a,mr\n")
    package = train(recipe(tmp_path / "recipe.yaml", root), tmp_path / "out", today=TODAY, on_step=lambda _: None)
    assert package.card.figures


def test_a_judgement_that_fails_is_told_with_the_package(tmp_path, monkeypatch):
    """Hours of training end with a package and a sentence."""

    def refuse(*_):
        raise EvaluationError("nothing is outlined")

    monkeypatch.setattr("inference.training.run.evaluate", refuse)
    path = recipe(tmp_path / "recipe.yaml", pictures.outlined(tmp_path / "data"))
    with pytest.raises(RecipeError, match=r"package is made, its card has no intervals: nothing is outlined"):
        train(path, tmp_path / "out", today=TODAY, on_step=lambda _: None)
    assert open_package(tmp_path / "out" / "package").card.figures == ()


def test_what_is_no_number_stays_out_of_the_card():
    """JSON knows no NaN; class and source are kept."""
    known = Figure("AUC", 0.5, 0.25, 0.75, 9, "ct", "drawn")
    unknown = [replace(known, **{field: math.nan}) for field in ("value", "low", "high")]
    evaluation = Evaluation("p", "1", "0" * 64, "classification", "data", "valid", 9, 5, (known, *unknown), ())
    (figure,) = card_figures(evaluation)
    assert (figure.value, figure.low, figure.high, figure.cases) == (0.5, 0.25, 0.75, 9)
    assert (figure.class_name, figure.source) == ("ct", "drawn")


def test_figures_go_into_the_card(tmp_path):
    """What is no number does not; digest and card stay in step, the weights as they are."""
    root, folder = pictures.labelled(tmp_path / "data"), write_package(tmp_path / "packages" / "c")
    before = open_package(folder)
    found = evaluate(folder, root, "valid", tmp_path / "out")
    write_card(folder, found)
    after = open_package(folder)
    assert after.card.weights_sha256 == before.card.weights_sha256
    assert after.card.figures[0].name == found.figures[0].name
    assert 0 < len(after.card.figures) <= len(found.figures)
    assert found.weights_sha256 == after.card.weights_sha256
    with pytest.raises(EvaluationError, match="training split"):
        write_card(folder, replace(found, split="train"))
