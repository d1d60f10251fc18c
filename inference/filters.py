"""What a card may ask for before or beside the grey values: less noise, evened contrast, edges."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn import functional

_LEVELS = 65535
#: Tiles in each direction within which contrast is evened.
_TILES = (8, 8)
_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8


def denoised(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey 0..1 (slice, row, column): every pixel the median of its 3 x 3 neighbours on its slice."""
    return np.asarray(median_filter(unit, size=(1, 3, 3), mode="nearest"), np.float32)


def equalised(unit: NDArray[np.float32], clip: float) -> NDArray[np.float32]:
    """Grey 0..1 (slice, row, column) with the contrast of each slice evened tile by tile (CLAHE, Zuiderveld, 1994);
    `clip` bounds how much a tile's contrast may grow."""
    evener = cv2.createCLAHE(clipLimit=clip, tileGridSize=_TILES)
    levels = (unit * _LEVELS).round().astype(np.uint16)
    return np.stack([evener.apply(level) for level in levels]).astype(np.float32) / np.float32(_LEVELS)


def edges(squares: Tensor) -> Tensor:
    """Squares 0..1 (n, 1, size, size) to the strength of their edges (Sobel), 0..1, of the same shape."""
    across = _SOBEL.to(squares)
    kernels = torch.stack([across, across.T])[:, None]
    gradient = functional.conv2d(functional.pad(squares, (1, 1, 1, 1), mode="replicate"), kernels)
    strength: Tensor = 2 * torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return strength.clamp(max=1)
