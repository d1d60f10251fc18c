"""Pictures to the pixels of one stack, each at its place as soon as it is decoded, in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicom_node.grey_values import Picture
from dicom_node.scratch import Room
from inference.volume import Window


class Assembly:
    """One stack in the making. Pictures of different places may be put by different threads."""

    def __init__(self, pixels: Room, *, is_inverse: bool) -> None:
        """`pixels` is room for the stack; `is_inverse` (MONOCHROME1): brighter is smaller in the pictures."""
        self._pixels = pixels
        self._is_inverse = is_inverse
        self._windows: list[Window | None] = [None] * len(pixels)
        #: Of each picture: the smallest and the largest value that is not padding, where they have been looked for.
        self._ends: list[tuple[float, float] | None] = [None] * len(pixels)
        self._is_padded = np.zeros(len(pixels), np.bool_)

    def room(self, place: int) -> NDArray[np.float32] | None:
        """Where a grey picture may be decoded to, before it is put; None where it is best copied."""
        return self._pixels[place] if isinstance(self._pixels, np.ndarray) and self._pixels.ndim == 3 else None

    def put(self, place: int, picture: Picture) -> None:
        """A picture at its place, counted from 0."""
        self._windows[place] = picture.window
        self._is_padded[place] = picture.is_padded
        if picture.is_padded or (self._is_inverse and self._pixels.ndim == 3):
            self._ends[place] = _ends(picture.pixels)
        if picture.pixels.base is not self._pixels:
            self._pixels[place] = picture.pixels

    def finished(self) -> tuple[Room, Window | None]:
        """The stack as `Volume.pixels`, with the window of the middle picture, which shows most of the anatomy.

        The values of an inverse stack are reflected about that window's centre, or within their range where there is no
        window, so that brighter is larger. Padding then becomes the smallest value.
        """
        window = self._windows[len(self._windows) // 2]
        if self._pixels.ndim == 4:
            return self._pixels, None
        if not self._is_inverse and not self._is_padded.any():
            return self._pixels, window
        ends = np.array([known or _ends(self._pixels[place]) for place, known in enumerate(self._ends)], np.float32)
        smallest, largest = np.fmin.reduce(ends[:, 0]), np.fmax.reduce(ends[:, 1])
        if np.isnan(smallest):
            smallest = np.float32(0)  # nothing but padding
        elif self._is_inverse:
            mirror = np.float32(2 * window.center) if window else smallest + largest
            for place in range(len(self._pixels)):
                self._pixels[place] = mirror - self._pixels[place]
            smallest = mirror - largest
        for place in np.flatnonzero(self._is_padded).tolist():
            self._pixels[place] = np.fmax(self._pixels[place], smallest)
        return self._pixels, window


def _ends(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """The smallest and the largest value that is not NaN; NaN twice where all are."""
    smallest, largest = pixels.min(), pixels.max()
    if np.isnan(smallest):  # fmin and fmax pass over NaN, and take ten times as long
        smallest, largest = (end.reduce(pixels, axis=None) for end in (np.fmin, np.fmax))
    return float(smallest), float(largest)
