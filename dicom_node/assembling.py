"""Pictures to the pixels of one stack, each at its place as soon as it is decoded, in any order."""

from __future__ import annotations

import numpy as np

from dicom_node.grey_values import Picture
from dicom_node.scratch import Room
from inference.volume import Window

_NAN = float("nan")


class Assembly:
    """One stack in the making. Pictures of different places may be put by different threads."""

    def __init__(self, pixels: Room, *, is_inverse: bool) -> None:
        """`pixels` is room for the stack; `is_inverse` (MONOCHROME1): brighter is smaller in the pictures."""
        self._pixels = pixels
        self._is_inverse = is_inverse
        self._windows: list[Window | None] = [None] * len(pixels)
        #: Of each picture: the smallest and the largest value that is not padding, and whether some is.
        self._ends = np.full((len(pixels), 2), _NAN, np.float32)
        self._is_padded = np.zeros(len(pixels), np.bool_)

    def put(self, place: int, picture: Picture) -> None:
        """A picture at its place, counted from 0."""
        self._windows[place] = picture.window
        if self._pixels.ndim == 3:
            smallest, largest = picture.pixels.min(), picture.pixels.max()
            self._is_padded[place] = np.isnan(smallest)
            if self._is_padded[place]:  # fmin and fmax pass over NaN, and take ten times as long
                smallest, largest = (end.reduce(picture.pixels, axis=None) for end in (np.fmin, np.fmax))
            self._ends[place] = smallest, largest
        self._pixels[place] = picture.pixels

    def finished(self) -> tuple[Room, Window | None]:
        """The stack as `Volume.pixels`, with the window of the middle picture, which shows most of the anatomy.

        The values of an inverse stack are reflected about that window's centre, or within their range where there is no
        window, so that brighter is larger. Padding then becomes the smallest value.
        """
        window = self._windows[len(self._windows) // 2]
        if self._pixels.ndim == 4:
            return self._pixels, None
        smallest, largest = np.fmin.reduce(self._ends[:, 0]), np.fmax.reduce(self._ends[:, 1])
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
