"""Frames of uncompressed little endian grey values, read from their file as they lie there (PS3.5 8.1.1, A.1, A.2).

pydicom reads every kind of frame, and asks of each slice some fifty questions whose answers are known here: for small
slices they take longer than the pixels. All other kinds are left to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import ReadError
from dicom_node.frames import frame_count
from dicom_node.headers import Header

_WIDTHS = (8, 16, 32)


def is_grey(header: Header) -> bool:
    """Whether a header states grey values as `native_frames` reads them."""
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    return (
        header.get("SamplesPerPixel") == 1
        and str(header.get("PhotometricInterpretation")).startswith("MONOCHROME")
        and allocated in _WIDTHS
        and isinstance(stored, int)
        and 1 <= stored <= allocated
        and header.get("PixelRepresentation") in (0, 1)
    )


def expected_length(header: Header) -> int:
    """Bytes that the frames take which `is_grey` lets pass, without padding."""
    bits = math.prod(int(header.get(keyword)) for keyword in ("Rows", "Columns", "BitsAllocated"))
    return frame_count(header) * bits // 8


def native_frames(file: BufferedReader | BytesIO, header: Header) -> Iterator[NDArray[Any]]:
    """Frames (row, column) in order, in the type they are stored in; bits that are not in use do not count.

    Raises ReadError where the file ends early.
    """
    rows, columns, allocated = (int(header.get(keyword)) for keyword in ("Rows", "Columns", "BitsAllocated"))
    kind = np.dtype(f"<{'i' if header.get('PixelRepresentation') else 'u'}{allocated // 8}")
    unused = allocated - int(header.get("BitsStored"))
    for _ in range(frame_count(header)):
        frame = np.empty((rows, columns), kind)
        if file.readinto(frame.data.cast("B")) != frame.nbytes:
            raise ReadError("holds fewer frames than its header states")
        if unused:  # up and down again: that keeps the sign
            np.left_shift(frame, unused, out=frame)
            np.right_shift(frame, unused, out=frame)
        yield frame
