"""Masks and boxes to closed polylines in the frame that SCOORD and presentation states share.

Points are (column, row); 0,0 is the outer corner of the first pixel and Columns,Rows that of the last one (PS3.3
C.18.6.1.1, C.10.5.1.2), so a polygon through these corners fills exactly the pixels of the mask it came from.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import Region
from inference.voxels import Mask, Patch

#: Viewers take a polyline of four or five points for a rectangle that may be edited; a result is read only.
FEWEST_POINTS = 6
#: Graphic Data is FL with a 16-bit length in Explicit VR: 65534 bytes hold 8191 points (PS3.5 section 7.1.2).
MOST_POINTS = 8191

_Corner = tuple[int, int]
#: (column, row) steps clockwise on the screen; a right turn is the next one.
_STEPS: tuple[_Corner, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One closed contour on one slice; `points` is (n, 2) of (column, row), the last repeats the first.

    Values are representable in 32 bits, so that every object carries the same numbers.
    """

    slice_index: int
    points: NDArray[np.float64]
    #: Enclosed area in pixels; negative for the rim of a hole.
    area: float

    @property
    def is_hole(self) -> bool:
        """Whether it bounds what is left out."""
        return self.area < 0


def trace(mask: Mask) -> tuple[Outline, ...]:
    """Every contour of a mask, slice by slice, in each slice the largest first.

    Outer rims run clockwise, rims of holes counter-clockwise; filled by the even-odd rule they give the mask back.
    Pixels that touch at a corner only belong to different contours.
    """
    return tuple(
        outline for patch in mask.patches for outline in sorted(_trace_slice(patch), key=lambda each: -each.area)
    )


def box(region: Region, rows: int, columns: int) -> Outline:
    """The rim of a region as nine points: its corners and the middles of its edges.

    What reaches over the edge of the image is cut off there. Raises ValueError when nothing is left.
    """
    left, right = np.clip((region.left, region.right), 0, columns)
    top, bottom = np.clip((region.top, region.bottom), 0, rows)
    if not (left < right and top < bottom):
        raise ValueError(
            f"box ({region.left}, {region.top}) to ({region.right}, {region.bottom}) covers nothing of an image of "
            f"{columns} columns and {rows} rows; a region lies within 0,0 and Columns,Rows, left before right"
        )
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    return _outline(region.slice_index, corners)


def _trace_slice(patch: Patch) -> list[Outline]:
    """Contours on one slice: pixel edges between inside and outside, walked with the inside at the right hand."""
    leaving = _edges(patch.inside)
    outlines = []
    while leaving:
        start = next(iter(leaving))
        corners = np.array(_walk(leaving, start, leaving[start][0]), dtype=np.float64)
        corners += patch.left, patch.top
        outlines.append(_outline(patch.slice_index, corners))
    return outlines


def _edges(mask: NDArray[np.bool_]) -> dict[_Corner, list[int]]:
    """For every pixel corner (column, row) the steps that leave it along the rim, as indices of _STEPS."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    # per step: the neighbour that must be outside, and where the edge begins, relative to the pixel's first corner
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    origins = ((0, 0), (1, 0), (1, 1), (0, 1))
    leaving: dict[_Corner, list[int]] = defaultdict(list)
    for step, (neighbour, (column, row)) in enumerate(zip(neighbours, origins, strict=True)):
        for pixel_row, pixel_column in np.argwhere(inside & ~neighbour).tolist():
            leaving[pixel_column + column, pixel_row + row].append(step)
    return leaving


def _walk(leaving: dict[_Corner, list[int]], start: _Corner, step: int) -> list[_Corner]:
    """Follow the rim from `start` until it closes, taking its edges out of `leaving`; only corners that turn count."""
    points = [start]
    corner = start
    while True:
        leaving[corner].remove(step)
        if not leaving[corner]:
            del leaving[corner]
        corner = corner[0] + _STEPS[step][0], corner[1] + _STEPS[step][1]
        right = (step + 1) % 4
        if corner == start and right not in leaving.get(start, ()):
            return [*points, start]
        # where two rims meet, the right turn stays with the same pixel
        following = right if right in leaving[corner] else leaving[corner][0]
        if following != step:
            points.append(corner)
        step = following


def _outline(slice_index: int, corners: NDArray[np.float64]) -> Outline:
    """An outline through closed `corners`, with as many points as the objects can carry and viewers leave alone.

    Beyond MOST_POINTS every n-th corner stands for the rest: such a rim is noise, and a report must still be made.
    """
    if len(corners) < FEWEST_POINTS:
        middles = (corners[:-1] + corners[1:]) / 2
        corners = np.vstack([np.stack([corners[:-1], middles], axis=1).reshape(-1, 2), corners[-1:]])
    if len(corners) > MOST_POINTS:
        step = -(-len(corners) // (MOST_POINTS - 1))
        corners = np.vstack([corners[:-1:step], corners[:1]])
    points = corners.astype(np.float32).astype(np.float64)
    columns, rows = points.T
    area = float(np.sum(columns[:-1] * rows[1:] - columns[1:] * rows[:-1]) / 2)
    return Outline(slice_index, points, area)
