"""Pictures that look alike, found as they come one after the other; no picture is kept, only its perceptual hash."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Bits along each side of a hash.
_SIDE = 16
_BANDS = 8
#: Hashes that differ in no more bits than this look alike: JPEG at quality 75 changes 6 or fewer in 99 of 100
#: pictures, unrelated ones differ in more than 20. Fewer than the bands, so that one band at least is the same.
_DIFFERENT_BITS = _BANDS - 1


class LookAlikes:
    """Groups of names; a picture joins the first group whose first picture it looks like."""

    def __init__(self) -> None:
        self._names: list[list[tuple[str, str]]] = []
        self._hashes: list[NDArray[np.bool_]] = []
        #: (Band, its bits) -> groups whose hash has them there: who differs in few bits shares a band.
        self._groups_by_band: dict[tuple[int, bytes], list[int]] = {}

    def add(self, picture: NDArray[np.float32], split: str, name: str) -> None:
        """One picture (row, column[, RGB]); one that is all of one value looks like nothing."""
        low, high = float(picture.min()), float(picture.max())
        if high <= low:
            return
        grey = Image.fromarray(((picture - low) / (high - low) * 255).astype(np.uint8)).convert("L")
        bits = imagehash.phash(grey, hash_size=_SIDE).hash.ravel()
        bands = [(number, band.tobytes()) for number, band in enumerate(np.split(np.packbits(bits), _BANDS))]
        near = dict.fromkeys(group for band in bands for group in self._groups_by_band.get(band, ()))
        for group in near:
            if np.count_nonzero(self._hashes[group] != bits) <= _DIFFERENT_BITS:
                self._names[group].append((split, name))
                return
        for band in bands:
            self._groups_by_band.setdefault(band, []).append(len(self._names))
        self._names.append([(split, name)])
        self._hashes.append(bits)

    @property
    def groups(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """(split, name) of pictures that look alike, group by group."""
        return tuple(tuple(group) for group in self._names if len(group) > 1)
