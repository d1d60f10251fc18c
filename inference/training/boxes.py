"""Pictures with boxes for detectors, in the folders that YOLO's tools use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from inference.training.recipe import Recipe, RecipeError
from inference.transforms import Placement, place, to_unit

log = logging.getLogger(__name__)

_PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}


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
    """root/images/<split>/NAME.jpg with root/labels/<split>/NAME.txt, whose lines are `class x y width height`, centre
    and size as parts of the picture; a picture without a file of labels, or with an empty one, shows nothing.

    Raises RecipeError for labels that are no such lines.
    """
    (question,) = recipe.questions.values()
    squares, boxes, classes = [], [], []
    for path, pixels in pictures_of(recipe.data.root / "images" / split):
        labels = read_labels(recipe.data.root / "labels" / split / f"{path.stem}.txt", len(question.classes))
        square, placement = place(to_unit(pixels[None], None, recipe.preparation), size)
        squares.append(square.half())
        boxes.append(_on_square(labels[:, 1:], placement))
        classes.append(labels[:, 0].long())
    count = sum(map(len, boxes))
    log.info("%d pictures for %s, %d boxes", len(squares), split, count, extra={"action": "boxes_loaded"})
    return BoxedPictures(torch.cat(squares), tuple(boxes), tuple(classes))


def pictures_of(folder: Path) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    """Every picture in a folder, grey (row, column), in the order of names; one that cannot be read is named and
    passed over."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _PICTURES:
            continue
        try:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("L"), np.float32)
        except (OSError, UnidentifiedImageError):
            log.warning("unreadable picture left out: %s", path.name, extra={"action": "picture_unreadable"})
            continue
        yield path, pixels


def read_labels(path: Path, classes: int) -> Tensor:
    """(k, 5) class, centre x, centre y, width, height, as the file has them."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != 5 or row[0] not in range(classes) or not all(0 <= value <= 1 for value in row[1:]):
            raise RecipeError(
                f"{path}:{number}: expected a class below {classes} and four numbers from 0 to 1: "
                "centre x, centre y, width, height; correct the line"
            )
        rows.append(row)
    return torch.tensor(rows).view(-1, 5)


def _on_square(boxes: Tensor, placement: Placement) -> Tensor:
    """Centre and size as parts of the picture to corners as parts of the square."""
    (top, left), (rows, columns) = placement.offset, placement.inner
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1).clamp(0, 1)
    scale, shift = torch.tensor([columns, rows] * 2), torch.tensor([left, top] * 2)
    return (corners * scale + shift) / placement.size
