"""One example of a data set: whose it is, what is known of it, and how to read it when its turn comes."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.findings import Task

log = logging.getLogger(__name__)

#: What pictures are stored as.
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
#: Of the subjects of a data set that comes without a split, this part is for validation.
_VALIDATION = 0.15


class Unreadable(Exception):  # it says what happened
    """A picture that cannot be read, named with its reason."""


class DataSetError(ValueError):
    """A data set that is none of the known layouts, or whose tables cannot be followed; says where and why."""


@dataclass(frozen=True, slots=True)
class Box:
    """Corners as parts of the picture, 0..1, and the number of the class."""

    number: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Pixels float32 (slice, row, column[, RGB]) and what is drawn on them."""

    pixels: NDArray[np.float32]
    #: bool (slice, row, column); None: nobody drew any.
    mask: NDArray[np.bool_] | None = None
    #: Of the one slice; None: nobody drew any. An empty tuple: there is nothing to draw.
    boxes: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One picture or stack."""

    #: Unique within the data set; its path, as far as it has one.
    name: str
    #: Whom or what it shows: examples of one subject belong on one side of a split.
    subject: str
    #: train, valid or test.
    split: str
    #: modality (ct, mr, us, xr), region, plane, abnormal (yes, no), source: as far as they are known.
    labels: Mapping[str, str]
    #: Raises Unreadable.
    read: Callable[[], Stack]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set lies in its folder, and what can be learnt from it."""

    name: str
    tasks: frozenset[Task]
    #: Whether a folder looks like it.
    is_at: Callable[[Path], bool]
    #: In a fixed order. Raises DataSetError.
    examples: Callable[[Path], Iterator[Example]]


def readable(examples: Iterable[Example]) -> Iterator[tuple[Example, Stack]]:
    """Each example with its pixels; one that cannot be read is named and passed over."""
    for example in examples:
        try:
            yield example, example.read()
        except Unreadable as error:
            log.warning("unreadable picture left out: %s: %s", example.name, error, extra={"action": "unreadable"})


def split_of(subject: str) -> str:
    """Train or valid, the same for a subject wherever and whenever it is asked."""
    number = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:4], "big")
    return "valid" if number / 2**32 < _VALIDATION else "train"


def named_split(text: str) -> str:
    """What publishers call val, validation or dev is valid here."""
    word = text.strip().lower()
    return "valid" if word in {"val", "valid", "validation", "dev"} else word


def read_picture(path: Path) -> NDArray[np.float32]:
    """Grey (row, column). Raises Unreadable."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"), np.float32)
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise
        raise Unreadable(f"{type(error).__name__} in {path.name}") from error


def one_slice(path: Path) -> Callable[[], Stack]:
    """Reads one grey picture."""
    return lambda: Stack(read_picture(path)[None])


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file with a header. Raises DataSetError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error


def pictures_in(folder: Path) -> list[Path]:
    """Files that are pictures by their names, in the order of names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES) if folder.is_dir() else []
