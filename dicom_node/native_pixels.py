"""Frames of uncompressed little endian grey values, read from their file as they lie there (PS3.5 8.1.1, A.1, A.2).

pydicom reads every kind of frame, and asks of each slice some fifty questions whose answers are known here: for small
slices they take longer than the pixels. All other kinds are left to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader, BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_node.domain.errors import ReadError
from dicom_node.frames import frame_count

_WIDTHS = (8, 16, 32)


def is_plain(header: Dataset, options: Mapping[str, Any]) -> bool:
    """Whether `native_frames` reads this; `options`: Image Pixel attributes as pydicom's decoders take them."""
    transfer_syntax = header.file_meta.TransferSyntaxUID
    allocated, stored = options.get("bits_allocated"), options.get("bits_stored")
    return (
        not transfer_syntax.is_encapsulated
        and transfer_syntax.is_little_endian
        and options["pixel_keyword"] == "PixelData"
        and str(options.get("photometric_interpretation")).startswith("MONOCHROME")
        and allocated in _WIDTHS
        and isinstance(stored, int)
        and 1 <= stored <= allocated
        and options.get("pixel_representation") in (0, 1)
    )


def native_frames(file: BufferedReader | BytesIO, header: Dataset) -> Iterator[NDArray[Any]]:
    """Frames (row, column) in order, in the type they are stored in; bits that are not in use do not count.

    Raises ReadError where the file ends early.
    """
    rows, columns = int(header.Rows), int(header.Columns)
    kind = np.dtype(f"<{'i' if header.PixelRepresentation else 'u'}{header.BitsAllocated // 8}")
    unused = header.BitsAllocated - header.BitsStored
    for _ in range(frame_count(header)):
        frame = np.empty((rows, columns), kind)
        if file.readinto(frame.data.cast("B")) != frame.nbytes:
            raise ReadError("holds fewer frames than its header states")
        if unused:  # up and down again: that keeps the sign
            np.left_shift(frame, unused, out=frame)
            np.right_shift(frame, unused, out=frame)
        yield frame
