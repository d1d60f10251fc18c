"""The training loop on a course of its own: averaging, early end, what it leaves behind."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from inference.cards import OperatingPoint
from inference.training.loop import fit
from inference.training.recipe import load_recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"


class Line:
    """One weight that shall become 1; the scores are told beforehand."""

    def __init__(self, scores):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self._scores = iter(scores)
        self.judged = []

    def batches_per_epoch(self, _phase):
        """Three."""
        return 3

    def batches(self, _phase, _generator):
        """The same thing three times."""
        for _ in range(3):
            yield torch.ones(4, 1, 1, 1), {"y": torch.ones(4, 1, 1, 1)}

    def loss(self, answer, targets):
        """Squared distance."""
        return ((answer.float() - targets["y"]) ** 2).mean()

    def validate(self, _phase):
        """The next of the scores."""
        self.judged.append(float(self.network.weight.detach()))
        return {"accuracy": 0.5, "score": next(self._scores)}

    def judge(self):
        """Never asked here."""
        return {}, OperatingPoint()


def recipe(epochs=(4,), **changes):
    """A recipe with so many epochs in each phase."""
    phases = [
        {"size": 32 + index, "epochs": count, "batch": 1, "learning_rate": 0.1} for index, count in enumerate(epochs)
    ]
    shipped = load_recipe(RECIPES / "brain-tumour-res50-unet.yaml").model_dump()
    return type(load_recipe(RECIPES / "brain-tumour-res50-unet.yaml")).model_validate(
        {**shipped, "phases": phases, **changes}
    )


def lines(folder):
    """Of history.jsonl."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_the_averaged_network_is_judged_and_kept(tmp_path):
    """It lags behind the trained one; without averaging there is no lag."""
    straight, averaged = Line([0.1, 0.2, 0.3, 0.4]), Line([0.1, 0.2, 0.3, 0.4])
    fit(straight, recipe(), tmp_path / "straight", lambda _: None)
    fit(averaged, recipe(averaging=0.9), tmp_path / "averaged", lambda _: None)
    assert all(0 < slow < fast for slow, fast in zip(averaged.judged, straight.judged, strict=True))
    assert float(averaged.network.weight.detach()) == pytest.approx(averaged.judged[-1])


def test_the_best_epoch_is_kept_not_the_last(tmp_path):
    """Its weights, and its figures."""
    course = Line([0.1, 0.9, 0.3, 0.4])
    best = fit(course, recipe(), tmp_path, lambda _: None)
    assert best["score"] == 0.9
    assert float(course.network.weight.detach()) == pytest.approx(course.judged[1])


def test_a_phase_without_progress_ends_early(tmp_path):
    """Two epochs without a better score are enough; the next phase begins all the same."""
    course = Line([0.5, 0.4, 0.4, 0.1, 0.2, 0.3])
    best = fit(course, recipe(epochs=(6, 3), patience=2), tmp_path, lambda _: None)
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3, 7, 8, 9]
    assert best["score"] == 0.3


def test_an_averaged_training_that_was_interrupted_ends_as_if_it_was_not(tmp_path):
    """Average, weights and moments are all taken up again."""

    def stop_in_the_third(step):
        if step.epoch == 3:
            raise KeyboardInterrupt

    straight, stopped, went_on = Line([0.1, 0.2, 0.3, 0.4]), Line([0.1, 0.2]), Line([0.3, 0.4])
    fit(straight, recipe(averaging=0.9), tmp_path / "straight", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, recipe(averaging=0.9), tmp_path / "stopped", stop_in_the_third)
    fit(went_on, recipe(averaging=0.9), tmp_path / "stopped", lambda _: None)
    assert stopped.judged + went_on.judged == pytest.approx(straight.judged)


def test_the_curves_are_drawn(tmp_path):
    """An SVG file beside the history, with the name of every figure."""
    fit(Line([0.1, 0.2, 0.3, 0.4]), recipe(), tmp_path, lambda _: None)
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.startswith("<?xml")
    assert "accuracy" in drawn
    assert not (tmp_path / "curves.part").exists()
