"""Pixels to network input and back: the one implementation that training and inference share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference import filters
from inference.cards import Preparation
from inference.quantiles import between, percentiles
from inference.resampling import resample
from inference.volume import Pixels, Window

#: ITU-R BT.601 luma, as PS3.3 C.7.6.3.1.2 uses for YBR_FULL.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
#: Values of a stack that are looked at together: 128 MB as float32.
_VALUES_AT_ONCE = 1 << 25
#: Values that are worked on together: 2 MB, which stay in the processor's cache from one step to the next.
_VALUES_IN_CACHE = 1 << 19


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the source grid lies in the square input: scaled by one factor, centred, the rest padded."""

    rows: int
    columns: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """(rows, columns) of the picture within the square."""
        scale = self.size / max(self.rows, self.columns)
        return max(1, round(self.rows * scale)), max(1, round(self.columns * scale))

    @property
    def offset(self) -> tuple[int, int]:
        """(top, left) padding."""
        rows, columns = self.inner
        return (self.size - rows) // 2, (self.size - columns) // 2

    def restore_boxes(self, boxes: Tensor) -> Tensor:
        """(n, 4) left, top, right, bottom in pixels of the square to the same on the source grid, cut at its edges."""
        (top, left), (rows, columns) = self.offset, self.inner
        moved = boxes - boxes.new_tensor([left, top, left, top])
        scaled = moved * boxes.new_tensor([self.columns / columns, self.rows / rows] * 2)
        return scaled.clamp(min=boxes.new_zeros(4), max=boxes.new_tensor([self.columns, self.rows] * 2))

    def restore(self, maps: Tensor) -> Tensor:
        """(n, size, size) maps of the square to (n, rows, columns) of the source grid."""
        (top, left), (rows, columns) = self.offset, self.inner
        inner = maps[:, None, top : top + rows, left : left + columns].float()
        return _resize(inner, self.rows, self.columns)[:, 0]


def _resize(pictures: Tensor, rows: int, columns: int) -> Tensor:
    """(n, channels, rows, columns) at another size."""
    if 1 in (pictures.shape[-1], columns):  # torch 2.14 repeats the first value of a single column all the way down
        pair = pictures.mean(-1, keepdim=True).expand(-1, -1, -1, 2)
        return _resize(pair.contiguous(), rows, max(columns, 2))[..., :columns]
    return functional.interpolate(pictures, (rows, columns), mode="bilinear", align_corners=False, antialias=True)


def _at_hand(pixels: Pixels) -> Pixels:
    """A stack as it is best gone through several times: grey, if it is in memory."""
    return pixels @ LUMA if isinstance(pixels, np.ndarray) and pixels.ndim == 4 else pixels


def _parts(pixels: Pixels, values: int) -> Iterator[NDArray[np.float32]]:
    """A stack as grey (slices, row, column), a slice at least and otherwise not more values at a time."""
    at_once = max(1, values // math.prod(pixels.shape[1:]))
    for first in range(0, len(pixels), at_once):
        some = pixels[first : first + at_once]
        yield some @ LUMA if pixels.ndim == 4 else some


def _range(pixels: Pixels, window: Window | None, preparation: Preparation) -> tuple[float, float]:
    """The values that become 0 and 1."""
    if preparation.window is not None:
        fixed = Window(preparation.window.center, preparation.window.width)
        return fixed.lower, fixed.upper
    bounds = (window.lower, window.upper) if preparation.use_window and window is not None else (-np.inf, np.inf)
    wanted = (preparation.lower_percentile, preparation.upper_percentile)
    found = percentiles(partial(_parts, pixels, _VALUES_AT_ONCE), math.prod(pixels.shape[:3]), wanted, bounds)
    low, high = (between(pair, weight) for pair, weight in found)
    if high <= low:  # nearly everything has one value: only the extremes can tell anything apart
        ends = [(part.min(), part.max()) for part in _parts(pixels, _VALUES_AT_ONCE)]
        darkest, brightest = np.clip(np.array([min(e[0] for e in ends), max(e[1] for e in ends)]), *bounds)
        return float(darkest), float(brightest)
    return low, high


def to_unit(pixels: Pixels, window: Window | None, preparation: Preparation) -> NDArray[np.float32]:
    """A stack (slice, row, column[, RGB]) as grey 0..1 (slice, row, column): window if asked for, then percentiles,
    then the filters that are asked for."""
    pixels = _at_hand(pixels)
    between_which = _range(pixels, window, preparation)
    return np.concatenate([_unit(part, between_which, preparation) for part in _parts(pixels, _VALUES_AT_ONCE)])


def _unit(
    grey: NDArray[np.float32], between_which: tuple[float, float], preparation: Preparation
) -> NDArray[np.float32]:
    low, high = between_which
    unit: NDArray[np.float32] = grey - np.float32(low)
    unit /= np.float32(max(high - low, 1e-6))
    np.clip(unit, 0, 1, out=unit)
    if preparation.denoise:
        unit = filters.denoised(unit)
    if preparation.equalise:
        unit = filters.equalised(unit, preparation.equalise)
    return unit


def place(unit: NDArray[np.float32], size: int) -> tuple[Tensor, Placement]:
    """Grey 0..1 (n, rows, columns) to the square (n, 1, size, size), aspect kept, black around; and the way back."""
    number, rows, columns = unit.shape
    placement = Placement(rows, columns, size)
    (top, left), (inner_rows, inner_columns) = placement.offset, placement.inner
    square = np.zeros((number, 1, size, size), np.float32)
    resample(unit, square[:, 0, top : top + inner_rows, left : left + inner_columns])
    return torch.from_numpy(square), placement


def resized(squares: Tensor, size: int) -> Tensor:
    """Squares (n, channels, side, side) at another side length."""
    if squares.shape[-1] == size:
        return squares
    return _resize(squares, size, size)


def standardise(square: Tensor, preparation: Preparation) -> Tensor:
    """Squares 0..1 (n, 1, size, size) to what the network was trained on: (n, channels, size, size)."""
    if preparation.edges:
        square = torch.cat([square, filters.edges(square)], 1)
    mean, std = (square.new_tensor(value).view(-1, 1, 1) for value in (preparation.mean, preparation.std))
    if preparation.rgb:
        square = square.expand(-1, 3, -1, -1)
    return (square - mean) / std


def prepare(pixels: Pixels, window: Window | None, preparation: Preparation) -> tuple[Tensor, Placement]:
    """The whole way: (slice, row, column[, RGB]) to (slice, channels, size, size) float32, and the way back.

    Of a long stack some slices at a time, so that only what comes out is in memory as a whole.
    """
    pixels = _at_hand(pixels)
    squares = _squares(pixels, _range(pixels, window, preparation), preparation)
    return squares, placement_of(pixels, preparation)


def prepared(pixels: Pixels, window: Window | None, preparation: Preparation, at_once: int) -> Iterator[Tensor]:
    """As `prepare`, in batches of `at_once` slices, the last one with what is left. Of a long stack only one batch is
    in memory at a time; what becomes of a slice does not depend on its company."""
    pixels = _at_hand(pixels)
    between_which = _range(pixels, window, preparation)
    for first in range(0, len(pixels), at_once):
        yield _squares(pixels[first : first + at_once], between_which, preparation)


def placement_of(pixels: Pixels, preparation: Preparation) -> Placement:
    """Where a stack's grid lies in the network's squares."""
    rows, columns = pixels.shape[1:3]
    return Placement(rows, columns, preparation.size)


def _squares(pixels: Pixels, between_which: tuple[float, float], preparation: Preparation) -> Tensor:
    """(slice, channels, size, size) of all slices, some at a time."""
    first = 0
    pictures = torch.empty((len(pixels), preparation.channels, preparation.size, preparation.size))
    for part in _parts(pixels, _VALUES_IN_CACHE):
        square, _ = place(_unit(part, between_which, preparation), preparation.size)
        pictures[first : first + len(part)] = standardise(square, preparation)
        first += len(part)
    return pictures
