"""Noise, contrast, edges: what a card may ask for, the same for training and inference."""

import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from inference.architectures import ARCHITECTURES, build
from inference.cards import Preparation
from inference.datasets.example import Stack, readable
from inference.datasets.layouts import examples_of
from inference.evaluation.source import volume_of
from inference.filters import denoised, edges, equalised
from inference.models import Classifier, load
from inference.training.recipe import Augmentation, Phantoms, load_recipe
from inference.training.run import train
from inference.training.segment import SegmenterCourse
from inference.transforms import prepare
from tests.builders import pictures

RECIPES = Path(__file__).parents[3] / "config" / "recipes"
RNG = np.random.default_rng(3)
EVERYTHING = {"size": 32, "use_window": False, "denoise": True, "equalise": 2.0, "edges": True}


def test_a_single_wrong_pixel_goes_and_a_step_stays():
    """A median does not soften an edge, and slices do not mix."""
    step = np.zeros((2, 9, 9), np.float32)
    step[:, :, 5:] = 1
    noisy = step.copy()
    noisy[0, 4, 1] = 1
    assert np.array_equal(denoised(noisy), step)


def test_contrast_is_evened_within_each_slice():
    """A faint texture in a dark corner grows; the range stays 0..1, and an odd or tiny shape is no obstacle."""
    faint = np.full((2, 64, 64), 0.5, np.float32)
    faint[0, :8, :8] = 0.1 + 0.02 * RNG.random((8, 8), np.float32)
    even = equalised(faint, 4.0)
    assert even[0, :8, :8].std() > 2 * faint[0, :8, :8].std()
    assert even.dtype == np.float32
    assert 0 <= even.min() <= even.max() <= 1
    assert equalised(np.zeros((1, 3, 5), np.float32), 2.0).shape == (1, 3, 5)


def test_edges_are_strong_where_grey_changes():
    """The border of a square, not its inside, in both directions; a full step has strength 1."""
    square = torch.zeros(1, 1, 16, 16)
    square[..., 4:12, 4:12] = 1
    strength = edges(square)
    assert strength.shape == square.shape
    assert strength[0, 0, 8, 8] == strength[0, 0, 0, 0] == 0
    assert strength[0, 0, 8, 4] == strength[0, 0, 4, 8] == strength[0, 0, 8, 11] == 1


def test_edges_are_a_second_channel():
    """Beside the grey values, on the same scale."""
    prepared, _ = prepare(RNG.random((3, 20, 30), np.float32), None, Preparation(**EVERYTHING))
    assert prepared.shape == (3, 2, 32, 32)


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"yolov5s", "yolov5m", "yolov5l"}))
def test_every_architecture_takes_two_channels(name):
    """So that each can be trained with edges."""
    build(name, {"q": ("a", "b") if "net" in name and "unet" not in name else ("a",)}, 2).eval()(
        torch.zeros(1, 2, 64, 64)
    )


def _still(path):
    """A shipped recipe whose training changes no picture, with every filter."""
    recipe = load_recipe(RECIPES / path)
    return {
        "preparation": Preparation(**EVERYTHING),
        "augmentation": Augmentation(**dict.fromkeys(Augmentation.model_fields, 0.0)),
        "phases": (recipe.phases[0].model_copy(update={"size": 32, "batch": 1}),),
    }, recipe


def test_training_sees_what_inference_sees(tmp_path):
    """The batches of a course without changes are the prepared stacks, up to the half precision they are kept in."""
    root = pictures.outlined(tmp_path / "outlined")
    changes, recipe = _still("brain-tumour-res50-unet.yaml")
    data = recipe.data.model_copy(update={"root": root, "per_epoch": 0, "phantoms": Phantoms()})
    recipe = recipe.model_copy(update={**changes, "data": data})
    course = SegmenterCourse(recipe, torch.device("cpu"))
    seen = torch.cat([batch for batch, _ in course.batches(recipe.phases[0], torch.Generator().manual_seed(1))])
    stacks = [stack.pixels for _, stack in readable(examples_of(root, "train"))]
    wanted = torch.cat([prepare(stack, None, recipe.preparation)[0] for stack in stacks])
    order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(seen, wanted[order], atol=0.01)
    assert not torch.allclose(seen, wanted[order.flip(0)], atol=0.01)


def test_a_network_with_every_filter_is_trained_stored_and_run(tmp_path):
    """The card tells inference what training did."""
    root = pictures.labelled(tmp_path / "labelled")
    _, recipe = _still("cascade-resnet50.yaml")
    content = recipe.model_dump(mode="json")
    content["preparation"] |= EVERYTHING
    content["data"] |= {"root": str(root), "per_epoch": 4, "phantoms": {"pictures": 5, "outside": 3}}
    content["questions"] = {"modality": {"classes": ["ct", "mr"], "column": "modality"}}
    content["phases"] = [{"size": 32, "epochs": 1, "batch": 2, "learning_rate": 0.001}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    package = train(
        tmp_path / "recipe.yaml", tmp_path / "out", today=datetime.date(2026, 11, 21), on_step=lambda _: None
    )
    model = load(package)
    assert isinstance(model, Classifier)
    assert package.card.preparation.channels == 2
    assert set(model.answers(volume_of(Stack(RNG.random((1, 20, 30), np.float32))))) == {"modality"}
