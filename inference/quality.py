"""Is a volume fit to be looked at? Each defect is measured, named, and beyond a bound a reason to refuse.

Bounds were set on the validation pictures of the reference packages: hardly one of them is refused that shows anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import Defect, QualityFlag
from inference.interpret import slices_to_show
from inference.transforms import LUMA
from inference.volume import Volume

_SLICES = 5
#: Width of a JPEG block (ISO/IEC 10918-1).
_BLOCK = 8
#: Pictures smaller than this have too few blocks to tell their edges from the picture's own.
_SMALLEST_WITH_BLOCKS = 96
Picture = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Measure:
    """How a defect is measured on one grey picture 0..1, from which value on it is worth a word, and from which on
    the volume is refused; the value goes into the text."""

    defect: Defect
    value_of: Callable[[Picture], float]
    flagged_from: float
    refused_from: float
    text: str


def _emptiness(picture: Picture) -> float:
    """Part of the pixels that have the most frequent of 256 grey levels."""
    levels = np.bincount((picture * 255).astype(np.uint8).ravel(), minlength=256)
    return float(levels.max() / picture.size)


def _correlation(one: Picture, other: Picture) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one * one).mean() * (other * other).mean()))
    return float((one * other).mean()) / scale if scale > 0 else 1.0


def _noisiness(picture: Picture) -> float:
    """One less the correlation of neighbours: near 0 for a picture, near 1 for noise."""
    along = _correlation(picture[:, :-1], picture[:, 1:]) if picture.shape[1] > 1 else 1.0
    down = _correlation(picture[:-1], picture[1:]) if picture.shape[0] > 1 else 1.0
    return 1 - max(along, down)


def _clipping(picture: Picture) -> float:
    """Part of the pixels that are as bright as can be."""
    return float((picture >= 0.99).mean())


def _missing_rows(picture: Picture) -> float:
    """Part of the height by which the empty strip at the bottom is higher than the one at the top."""
    flat = (picture == picture[:, :1]).all(axis=1)
    below = flat & (picture[:, 0] == picture[-1, 0])
    above = flat & (picture[:, 0] == picture[0, 0])
    return float(_leading(below[::-1]) - _leading(above)) / len(picture)


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(flags) if flags.all() else int(np.argmin(flags))


def _blockiness(picture: Picture) -> float:
    """How many times as steep the edges of 8-pixel blocks are as what lies between, along the axis where they are less;
    1 for no compression."""
    return min(_grid_steps(picture), _grid_steps(picture.T))


def _grid_steps(picture: Picture) -> float:
    if picture.shape[1] < _SMALLEST_WITH_BLOCKS:
        return 1.0
    steps = np.abs(np.diff(picture, axis=1)).mean(axis=0)
    place = np.arange(1, picture.shape[1]) % _BLOCK
    between = float(np.median([steps[place == k].mean() for k in range(1, _BLOCK)]))
    return float(steps[place == 0].mean()) / between if between > 0 else 1.0


_MEASURES = (
    _Measure(Defect.BLANK, _emptiness, 0.95, 0.995, "blank: {:.1%} of it has one grey level"),
    _Measure(Defect.NOISE, _noisiness, 0.5, 0.7, "noise: neighbouring pixels agree by {0:.2f} less than wholly"),
    _Measure(Defect.CLIPPED, _clipping, 0.2, 0.5, "clipped: {:.0%} of it is as bright as can be"),
    _Measure(Defect.TRUNCATED, _missing_rows, 0.35, 0.6, "truncated: the lowest {:.0%} of it is empty"),
    _Measure(Defect.COMPRESSED, _blockiness, 1.9, 8.0, "heavily compressed: block edges stand out {:.1f}-fold"),
)
_SMALLEST = (64, 32)


def judge(volume: Volume) -> tuple[QualityFlag, ...]:
    """The defects of a volume, from the median over several of its slices; none where it is fit."""
    flags = []
    smaller = min(volume.shape[1:])
    if smaller < _SMALLEST[0]:
        text = f"tiny: {volume.shape[1]} x {volume.shape[2]} pixels"
        flags.append(QualityFlag(Defect.TINY, text, refused=smaller < _SMALLEST[1]))
    pictures = _pictures(volume)
    for measure in _MEASURES:
        value = float(np.median([measure.value_of(picture) for picture in pictures]))
        if value >= measure.flagged_from:
            flags.append(QualityFlag(measure.defect, measure.text.format(value), refused=value >= measure.refused_from))
    return tuple(flags)


def _pictures(volume: Volume) -> list[Picture]:
    """Some slices, each grey from its own darkest to its own brightest."""
    pixels = volume.pixels[list(slices_to_show(volume.shape[0], _SLICES))]
    grey = pixels @ LUMA if volume.is_colour else pixels
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    return list(((grey - low) / np.maximum(high - low, 1e-6)).astype(np.float32))
