"""One example of a data set: whose it is, what is known of it, and how to read it when its turn comes."""

from __future__ import annotations

import csv
import hashlib
import logging
import struct
import tokenize
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.findings import Task

log = logging.getLogger(__name__)

Row = TypeVar("Row")

#: What pictures are stored as.
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
#: What Pillow, NumPy, h5py and gzip raise over bytes that are not what they should be.
_DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,  # sizes that overflow
    EOFError,  # a file that ends too early
    LookupError,  # a name or a number that is not in it
    MemoryError,  # a size that no machine holds
    OSError,  # no file, or none of a known kind
    SyntaxError,  # a broken PNG; a broken NumPy header
    TypeError,  # a value where another kind belongs
    ValueError,  # a broken NumPy array
    Image.DecompressionBombError,  # a header that states an absurd size
    struct.error,  # numbers cut short
    tokenize.TokenError,  # a NumPy header cut short
    zlib.error,  # broken compression
)
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
    """Pixels float32 (slice, row, column[, RGB]) and what is drawn on them. Raises Unreadable where they are no such
    thing: of another shape, not finite, or with a mask of another size."""

    pixels: NDArray[np.float32]
    #: bool (slice, row, column); None: nobody drew any.
    mask: NDArray[np.bool_] | None = None
    #: Of the one slice; None: nobody drew any. An empty tuple: there is nothing to draw.
    boxes: tuple[Box, ...] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim not in (3, 4) or self.pixels.size == 0:
            raise Unreadable(f"is of shape {self.pixels.shape}, which is no stack of pictures")
        if not np.isfinite(self.pixels).all():
            raise Unreadable("holds values that are not finite")
        if self.mask is not None and self.mask.shape != self.pixels.shape[:3]:
            raise Unreadable(f"pixels of shape {self.pixels.shape} have a mask of shape {self.mask.shape}")


@dataclass(frozen=True, slots=True)
class Example:
    """One picture or stack."""

    #: Unique within the data set; its path, as far as it has one.
    name: str
    #: Whom or what it shows: examples of one subject belong on one side of a split. Empty only where nothing of the
    #: example can be read.
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


@contextmanager
def explained(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Raise what a reader of `path` raises over damage, and `also`, as Unreadable with its name."""
    try:
        yield
    except (*_DAMAGE, *also) as error:
        raise Unreadable(f"{type(error).__name__} in {path.name}") from error


def read_picture(path: Path) -> NDArray[np.float32]:
    """Grey (row, column). Raises Unreadable."""
    with explained(path), Image.open(path) as picture:
        return np.asarray(picture.convert("L"), np.float32)


def stacked(slices: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]] | None = None) -> Stack:
    """Pictures (row, column) and their masks, in order, as one stack. Raises Unreadable unless all are of one size and
    there are as many masks as pictures, at least one."""
    sizes = {part.shape for part in (*slices, *(masks or ()))}
    if len(sizes) != 1:
        raise Unreadable(f"its pictures and masks are of {len(sizes)} sizes instead of one")
    return Stack(np.stack(slices), np.stack(masks) if masks else None)


def one_slice(path: Path) -> Callable[[], Stack]:
    """Reads one grey picture."""
    return lambda: Stack(read_picture(path)[None])


def rows_of(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Rows of a CSV file with a header, each with something in all these columns. Raises DataSetError."""
    for number, row in enumerate(_table(path, csv.DictReader), start=1):
        missing = [column for column in columns if not row.get(column)]
        if missing:
            raise DataSetError(f"{path}: row {number} has nothing in {', '.join(missing)}; every row needs it")
        yield row


def bare_rows_of(path: Path) -> Iterator[list[str]]:
    """Rows of a CSV file without a header; none if there is no such file. Raises DataSetError."""
    return _table(path, csv.reader) if path.is_file() else iter(())


def _table(path: Path, reader: Callable[[TextIO], Iterable[Row]]) -> Iterator[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from reader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error


def pictures_in(folder: Path) -> list[Path]:
    """Files that are pictures by their names, in the order of names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES) if folder.is_dir() else []
