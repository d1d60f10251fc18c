"""Slices with masks for segmenters: the LGG index and brain phantoms, prepared patient by patient."""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inference import phantoms
from inference.cards import Preparation
from inference.phantoms import Array
from inference.training.recipe import Recipe
from inference.transforms import place, to_unit

log = logging.getLogger(__name__)

#: Channel of the LGG pictures that holds FLAIR (pre-contrast, FLAIR, post-contrast).
FLAIR = 1
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


def read_patient(root: Path, rows: list[dict[str, str]]) -> tuple[Array, Array]:
    """FLAIR 0..255 and mask 0/1 of the rows of one patient, both (slice, row, column), in slice order."""
    ordered = sorted(rows, key=lambda row: int(row["slice"]))
    flair, masks = [], []
    for row in ordered:
        with Image.open(root / row["image"]) as picture:
            flair.append(np.asarray(picture.convert("RGB"), np.float32)[..., FLAIR])
        with Image.open(root / row["mask"]) as picture:
            masks.append((np.asarray(picture.convert("L")) > 127).astype(np.float32))
    return np.stack(flair), np.stack(masks)


def rows_by_patient(root: Path, split: str) -> dict[str, list[dict[str, str]]]:
    """The index of one split, patient by patient."""
    patients: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (root / "index.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == split:
                patients[row["patient"]].append(row)
    return dict(patients)


def _phantom(rng: np.random.Generator, number: int, preparation: Preparation, size: int) -> PatientSlices:
    lesion = phantoms.random_lesion(rng) if number % 4 else None
    drawn = phantoms.brain_mr(rng, _PHANTOM_SHAPE, lesion)
    if drawn.lesion is None:
        raise AssertionError("a brain phantom always has a mask")
    return _prepared(f"phantom {number}", drawn.pixels, drawn.lesion.astype(np.float32), preparation, size)


def load_slices(recipe: Recipe, split: str, size: int) -> tuple[PatientSlices, ...]:
    """Every patient of a split and, for training, as many phantom slices as the recipe asks for."""
    root = recipe.data.root
    patients = [
        _prepared(patient, *read_patient(root, rows), recipe.preparation, size)
        for patient, rows in rows_by_patient(root, split).items()
    ]
    if split == "train":
        rng = np.random.default_rng(recipe.seed)
        volumes = -(-recipe.data.phantoms.pictures // _PHANTOM_SHAPE[0])
        patients += [_phantom(rng, number, recipe.preparation, size) for number in range(volumes)]
    log.info("%d patients for %s", len(patients), split, extra={"action": "slices_loaded"})
    return tuple(patients)
