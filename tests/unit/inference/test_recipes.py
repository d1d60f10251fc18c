"""The recipes that are shipped: each can be followed, and those of a comparison are fair."""

from pathlib import Path

import pytest

from inference.architectures import ARCHITECTURES
from inference.datasets.layouts import layouts
from inference.training.recipe import load_recipe

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
EVERY = sorted(RECIPES.rglob("*.yaml"))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_recipe_can_be_followed(path):
    """Its architecture, layout and task fit; its comment tells the command with its own path."""
    recipe = load_recipe(path)
    assert recipe.architecture in ARCHITECTURES
    assert recipe.task in layouts()[recipe.data.layout].tasks
    assert recipe.phases[-1].size == recipe.preparation.size
    assert f"config/recipes/{path.relative_to(RECIPES)} --out runs/" in path.read_text()


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_a_comparison_differs_in_the_network_alone(task):
    """And in its learning rate: what suits one would hobble another."""
    recipes = [recipe for recipe in map(load_recipe, (RECIPES / "experiment").glob("*.yaml")) if recipe.task == task]
    assert len({recipe.architecture for recipe in recipes}) == len(recipes) >= 2
    alike = [
        recipe.model_copy(
            update={
                "name": "",
                "architecture": "",
                "phases": tuple(phase.model_copy(update={"learning_rate": 0.0}) for phase in recipe.phases),
            }
        )
        for recipe in recipes
    ]
    assert all(recipe == alike[0] for recipe in alike)
