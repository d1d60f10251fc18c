"""Examples of a data set as the volumes a reader would make of them."""

from __future__ import annotations

from inference.datasets.example import Stack
from inference.volume import FrameReference, Volume

#: Secondary Capture: a picture without a place in the patient.
_PICTURE = "1.2.840.10008.5.1.4.1.1.7"


def volume_of(stack: Stack) -> Volume:
    """A stack as a volume without geometry."""
    frames = tuple(FrameReference(_PICTURE, str(number)) for number in range(len(stack.pixels)))
    return Volume("", "", stack.pixels, frames)
