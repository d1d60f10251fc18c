"""Slices with masks for segmenters: those of a data set and brain phantoms, prepared patient by patient."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inference import phantoms
from inference.cards import Preparation
from inference.datasets.example import readable
from inference.datasets.layouts import examples_of
from inference.phantoms import Array
from inference.training.recipe import Recipe, RecipeError
from inference.transforms import place, to_unit

log = logging.getLogger(__name__)

_PHANTOM_SHAPE = (12, 224, 224)


@dataclass(frozen=True, slots=True, eq=False)
class PatientSlices:
    """One patient's prepared slices: `squares` float16 0..1 and `masks` uint8 0/1, both (n, 1, size, size)."""

    patient: str
    squares: Tensor
    masks: Tensor


def _prepared(patient: str, stack: Array, masks: Array, preparation: Preparation, size: int) -> PatientSlices:
    squares, _ = place(to_unit(stack, None, preparation), size)
    placed, _ = place(masks, size)
    return PatientSlices(patient, squares.half(), (placed > 0.5).to(torch.uint8))


def phantom_slices(recipe: Recipe, size: int) -> list[PatientSlices]:
    """At least as many slices of generated brains as the recipe asks for; three of four brains have a lesion."""
    rng = np.random.default_rng(recipe.seed)
    volumes = -(-recipe.data.phantoms.pictures // _PHANTOM_SHAPE[0])
    return [_phantom(rng, number, recipe.preparation, size) for number in range(volumes)]


def _phantom(rng: np.random.Generator, number: int, preparation: Preparation, size: int) -> PatientSlices:
    lesion = phantoms.random_lesion(rng) if number % 4 else None
    drawn = phantoms.brain_mr(rng, _PHANTOM_SHAPE, lesion)
    if drawn.lesion is None:
        raise AssertionError("a brain phantom always has a mask")
    return _prepared(f"phantom {number}", drawn.pixels, drawn.lesion.astype(np.float32), preparation, size)


def load_slices(recipe: Recipe, split: str, size: int) -> tuple[PatientSlices, ...]:
    """Every stack with a mask of a split and, for training, as many phantom slices as the recipe asks for.

    Raises RecipeError where that leaves nothing.
    """
    patients = [
        _prepared(example.name, stack.pixels, stack.mask.astype(np.float32), recipe.preparation, size)
        for example, stack in readable(examples_of(recipe.data.root, split, recipe.data.layout))
        if stack.mask is not None
    ]
    if split == "train":
        patients += phantom_slices(recipe, size)
    if not patients:
        raise RecipeError(f"data: {recipe.data.root} has no stack with a mask for {split} that can be read")
    log.info("%d patients for %s", len(patients), split, extra={"action": "slices_loaded"})
    return tuple(patients)
