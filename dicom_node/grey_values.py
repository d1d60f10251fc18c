"""Stored grey values as the modality's numbers: modality LUT or rescale, VOI LUT or window, padding (PS3.3 C.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_node.domain.errors import ReadError
from dicom_node.frames import FrameHeader, numbers
from inference.volume import Window

#: Where pixels may be (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25), with what marks padding there: value and range limit.
PIXEL_ELEMENTS = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame: float32 (row, column), NaN where padding, or (row, column, RGB) in 0..255; units as in `Volume`."""

    pixels: NDArray[np.float32]
    window: Window | None
    #: Whether some of it is padding.
    is_padded: bool


def grey(stored: NDArray[Any], frame: FrameHeader, keyword: str, room: NDArray[np.float32] | None = None) -> Picture:
    """Stored values (row, column) of one frame as the numbers that its header makes of them.

    `keyword`: the element they were in. `room`: where these may be put. What pydicom raises over broken tables passes
    through.
    """
    pixels = _modality_values(stored, frame, room)
    window = _window(frame)
    voi_luts = frame.get("VOILUTSequence")
    if window is None and voi_luts:
        # C.11.2.1.1: the LUT's input is what the modality transformation gives, whole numbers
        pixels = _look_up(np.rint(pixels).astype(np.int64), voi_luts[0])
        full = 2.0 ** int(voi_luts[0].LUTDescriptor[2]) - 1
        window = Window(full / 2, full)
    padding = _is_padding(stored, frame, keyword)
    if stored.dtype.kind == "f":
        not_finite = ~np.isfinite(pixels)
        padding = not_finite if padding is None else padding | not_finite
    is_padded = padding is not None and bool(padding.any())
    if is_padded:
        pixels[padding] = np.nan
    return Picture(pixels, window, is_padded)


def _modality_values(stored: NDArray[Any], frame: FrameHeader, room: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Stored values in the modality's own units (PS3.3 C.11.1).

    Done here in float32: pydicom's `apply_modality_lut` makes float64 copies, and only of whole data sets.
    """
    modality_luts = frame.get("ModalityLUTSequence")
    if modality_luts:
        return _look_up(stored.astype(np.int64), modality_luts[0])
    pixels = np.empty(stored.shape, np.float32) if room is None else room
    pixels[...] = stored
    slope, intercept = numbers(frame.get("RescaleSlope"), 1), numbers(frame.get("RescaleIntercept"), 1)
    # a slope of zero would wipe the picture out; devices that write it mean "no rescale"
    if slope and intercept and slope[0] != 0 and (slope[0], intercept[0]) != (1.0, 0.0):
        if max(abs(slope[0]), abs(intercept[0])) > _LARGEST:
            raise ReadError("states a Rescale Slope or Intercept beyond what pixels can hold")
        if slope[0] != 1:
            pixels *= np.float32(slope[0])
        pixels += np.float32(intercept[0])
    return pixels


def _look_up(values: NDArray[np.int64], lut: Dataset) -> NDArray[np.float32]:
    """Values through one item of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1.1, C.11.2.1.1).

    Done here because pydicom 3's `apply_voi_lut` keeps the index in the type of the entries, so that a table of more
    than 256 eight-bit entries wraps around, and because it reads no table that packs those entries into words.
    """
    entries, first_mapped, _ = (int(number) for number in lut.LUTDescriptor)
    data, little_endian = lut.LUTData, lut.original_encoding[1] is not False
    if isinstance(data, bytes):
        entries = entries or 2**16
        width = 2 if len(data) >= 2 * entries else 1
        table = np.frombuffer(data, dtype=f"{'<' if little_endian else '>'}u{width}")[:entries]
    else:
        table = np.atleast_1d(np.asarray(data))
    return table.astype(np.float32)[np.clip(values - first_mapped, 0, len(table) - 1)]


def _is_padding(stored: NDArray[Any], frame: FrameHeader, keyword: str) -> NDArray[np.bool_] | None:
    """Where stored values are padding (PS3.3 C.7.5.1.1.2): one value, or a range with both ends included; None where
    the header names none."""
    ends = [end for end in (numbers(frame.get(name), 1) for name in PIXEL_ELEMENTS[keyword]) if end]
    if not ends or numbers(frame.get(PIXEL_ELEMENTS[keyword][0]), 1) is None:
        return None
    # through a wide integer, so that a padding value written unsigned for signed pixels wraps to what is stored
    wide = np.int64 if stored.dtype.kind in "iu" else np.float64
    low, *_, high = sorted((np.array(end).astype(wide).astype(stored.dtype)[0] for end in ends * 2), key=float)
    inside: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return inside


def _window(frame: FrameHeader) -> Window | None:
    """The first window as linear bounds (PS3.3 C.11.2.1.2, C.11.2.1.3), or None.

    LINEAR draws black at center - 0.5 - (width - 1) / 2, LINEAR_EXACT at center - width / 2; SIGMOID has no bounds, and
    the straight line through its centre has those of LINEAR_EXACT. LINEAR is the default, and nonsense when not wider
    than 1: there exact bounds are meant.
    """
    centers, widths = numbers(frame.get("WindowCenter")), numbers(frame.get("WindowWidth"))
    if not centers or not widths or widths[0] <= 0:
        return None
    center, width = centers[0], widths[0]
    exact = frame.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID") or width <= 1
    return Window(center, width) if exact else Window(center - 0.5, width - 1)
