"""Pictures of a data set as the volumes a reader would make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.volume import FrameReference, Volume

#: Secondary Capture: a picture without a place in the patient.
_PICTURE = "1.2.840.10008.5.1.4.1.1.7"


def picture_volume(path: Path) -> Volume:
    """One grey picture as one slice without geometry."""
    with Image.open(path) as picture:
        return stack_volume([np.asarray(picture.convert("L"), np.float32)])


def stack_volume(slices: Sequence[NDArray[np.float32]]) -> Volume:
    """Slices (row, column) of one size as a volume without geometry."""
    frames = tuple(FrameReference(_PICTURE, str(number)) for number in range(len(slices)))
    return Volume("", "", np.stack(slices), frames)
