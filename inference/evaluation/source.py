"""Pictures of a data set as the volumes a reader would make of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from inference.volume import FrameReference, Volume

log = logging.getLogger(__name__)

#: Secondary Capture: a picture without a place in the patient.
_PICTURE = "1.2.840.10008.5.1.4.1.1.7"


def readable(root: Path, rows: Iterable[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], Volume]]:
    """Rows of a table with the picture under `path`, one slice without geometry; what cannot be read is named and left
    out."""
    for row in rows:
        try:
            with Image.open(root / row["path"]) as picture:
                yield row, stack_volume([np.asarray(picture.convert("L"), np.float32)])
        except (OSError, UnidentifiedImageError):
            log.warning("unreadable picture left out: %s", row["path"], extra={"action": "picture_unreadable"})


def stack_volume(slices: Sequence[NDArray[np.float32]]) -> Volume:
    """Slices (row, column) of one size as a volume without geometry."""
    frames = tuple(FrameReference(_PICTURE, str(number)) for number in range(len(slices)))
    return Volume("", "", np.stack(slices), frames)
