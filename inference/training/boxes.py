"""Pictures with boxes for detectors, as squares."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.ndimage import find_objects, label
from torch import Tensor

from inference.datasets.example import Box, readable
from inference.datasets.layouts import examples_of
from inference.training.recipe import Recipe, RecipeError
from inference.training.slices import phantom_slices
from inference.transforms import Placement, place, to_unit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class BoxedPictures:
    """`squares` float16 0..1 (n, 1, size, size); per picture `boxes` (k, 4) left, top, right, bottom, 0..1 over the
    square, and `classes` (k)."""

    squares: Tensor
    boxes: tuple[Tensor, ...]
    classes: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.boxes)


def load_boxed(recipe: Recipe, split: str, size: int) -> BoxedPictures:
    """Every picture of a split on which somebody drew boxes, or found nothing to draw, and, for training, as many
    slices of brain phantoms as the recipe asks for, whose lesions are of the first class.

    Raises RecipeError for a box of a class that the recipe does not have, or where there is no such picture.
    """
    (question,) = recipe.questions.values()
    squares, boxes, classes = [], [], []
    for example, stack in readable(examples_of(recipe.data.root, split, recipe.data.layout)):
        if stack.boxes is None:
            continue
        if any(box.number >= len(question.classes) for box in stack.boxes):
            raise RecipeError(f"{example.name}: a box of a class beyond the {len(question.classes)} of the recipe")
        square, placement = place(to_unit(stack.pixels, None, recipe.preparation), size)
        squares.append(square.half())
        boxes.append(_on_square(corners_of(stack.boxes), placement))
        classes.append(torch.tensor([box.number for box in stack.boxes], dtype=torch.long))
    if split == "train":
        for drawn in phantom_slices(recipe, size):
            squares.append(drawn.squares)
            found = [_around(mask[0]) for mask in drawn.masks]
            boxes += found
            classes += [torch.zeros(len(corners), dtype=torch.long) for corners in found]
    if not squares:
        raise RecipeError(f"data: {recipe.data.root} has no picture with boxes for {split} that can be read")
    count = sum(map(len, boxes))
    log.info("%d pictures for %s, %d boxes", len(squares), split, count, extra={"action": "boxes_loaded"})
    return BoxedPictures(torch.cat(squares), tuple(boxes), tuple(classes))


def corners_of(boxes: Sequence[Box]) -> Tensor:
    """(n, 4) left, top, right, bottom as parts of the picture."""
    return torch.tensor([[box.left, box.top, box.right, box.bottom] for box in boxes]).view(-1, 4)


def _around(mask: Tensor) -> Tensor:
    """(n, 4) a box around each connected part of a mask (side, side), as parts of it."""
    parts, _ = label(mask.numpy())
    corners = [[x.start, y.start, x.stop, y.stop] for y, x in find_objects(parts)]
    return torch.tensor(corners, dtype=torch.float32).view(-1, 4) / mask.shape[-1]


def _on_square(corners: Tensor, placement: Placement) -> Tensor:
    """Corners as parts of the picture to corners as parts of the square."""
    (top, left), (rows, columns) = placement.offset, placement.inner
    scale, shift = torch.tensor([columns, rows] * 2), torch.tensor([left, top] * 2)
    return (corners * scale + shift) / placement.size
