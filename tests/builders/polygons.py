"""Fills polygons for tests, by a rule of its own, so that outlines are checked against something independent."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels (row, column) whose centre lies inside closed polygons of (column, row) points, even-odd."""
    rows, columns = shape
    inside = np.zeros((rows, columns), dtype=bool)
    row_centres, column_centres = np.arange(rows) + 0.5, np.arange(columns) + 0.5
    for points in polygons:
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            crossed = (row_centres >= min(y0, y1)) & (row_centres < max(y0, y1))
            if not crossed.any():
                continue
            crossing = x0 + (row_centres[crossed] - y0) * (x1 - x0) / (y1 - y0)
            inside[crossed] ^= column_centres[np.newaxis] > crossing[:, np.newaxis]
    return inside
