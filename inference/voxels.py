"""Which voxels of a stack are meant, kept slice by slice: it takes room for what is inside, not for the stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What is meant of one slice: `inside` is bool (row, column) of the smallest box around it, whose first pixel is
    (top, left) of the slice."""

    slice_index: int
    top: int
    left: int
    inside: NDArray[np.bool_]
    #: Scores in 255ths in the same box, 0 outside of what is meant; None: nobody gave any.
    scores: NDArray[np.uint8] | None = None

    @property
    def where(self) -> tuple[slice, slice]:
        """(rows, columns) of the box on its slice."""
        rows, columns = self.inside.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.inside))


def patch_of(slice_index: int, inside: NDArray[np.bool_], scores: NDArray[np.uint8] | None = None) -> Patch | None:
    """From a whole slice (row, column); None where nothing is meant. A copy, so that the slice can go."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = inside[box].copy()
    given = None if scores is None else np.where(part, scores[box], 0).astype(np.uint8)
    return Patch(slice_index, int(rows[0]), int(columns[0]), part, given)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Voxels of a stack of `shape` (slices, rows, columns): a patch for each slice that has some, the first slice
    first."""

    shape: tuple[int, int, int]
    patches: tuple[Patch, ...]

    @classmethod
    def of(cls, array: NDArray[np.bool_], scores: NDArray[np.uint8] | None = None) -> Mask:
        """From bool (slice, row, column), and scores in 255ths of the same shape."""
        slices, rows, columns = array.shape
        found = (patch_of(n, inside, None if scores is None else scores[n]) for n, inside in enumerate(array))
        return cls((slices, rows, columns), tuple(patch for patch in found if patch is not None))

    @property
    def count(self) -> int:
        """Number of voxels."""
        return sum(patch.count for patch in self.patches)

    @property
    def slice_extent(self) -> tuple[int, int]:
        """First and last slice, both included. Raises IndexError where nothing is inside."""
        return self.patches[0].slice_index, self.patches[-1].slice_index

    @property
    def largest_slice(self) -> int:
        """The slice with the most pixels, the first of several."""
        return max(self.patches, key=lambda patch: patch.count).slice_index

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of all slices together, the last two not included."""
        boxes = [patch.where for patch in self.patches]
        return (
            min(columns.start for _, columns in boxes),
            min(rows.start for rows, _ in boxes),
            max(columns.stop for _, columns in boxes),
            max(rows.stop for rows, _ in boxes),
        )

    def on(self, slice_index: int) -> NDArray[np.bool_]:
        """One slice (row, column)."""
        inside = np.zeros(self.shape[1:], np.bool_)
        for patch in self.patches:
            if patch.slice_index == slice_index:
                inside[patch.where] = patch.inside
        return inside

    def whole(self) -> NDArray[np.bool_]:
        """All slices (slice, row, column)."""
        inside = np.zeros(self.shape, np.bool_)
        for patch in self.patches:
            inside[(patch.slice_index, *patch.where)] = patch.inside
        return inside


def together(masks: Sequence[Mask]) -> Mask:
    """What is in any of several masks of one stack; a voxel has the score that the first of those it is in gives."""
    on_slice: dict[int, list[Patch]] = defaultdict(list)
    for patch in (patch for mask in masks for patch in mask.patches):
        on_slice[patch.slice_index].append(patch)
    shape = masks[0].shape
    united = (_united(index, on_slice[index], shape) for index in sorted(on_slice))
    return Mask(shape, tuple(patch for patch in united if patch is not None))


def _united(slice_index: int, patches: Sequence[Patch], shape: tuple[int, int, int]) -> Patch | None:
    """Without scores if one of them has none."""
    inside, scores = np.zeros(shape[1:], np.bool_), np.zeros(shape[1:], np.uint8)
    for patch in patches:
        new = patch.inside & ~inside[patch.where]
        if patch.scores is not None:
            scores[patch.where][new] = patch.scores[new]
        inside[patch.where] |= patch.inside
    return patch_of(slice_index, inside, None if any(patch.scores is None for patch in patches) else scores)
