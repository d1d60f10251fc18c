"""Pixels of one instance as numbers: decoded, through the modality LUT, with padding marked, colour as RGB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length, pixel_array
from pydicom.uid import UID, JPEGLSTransferSyntaxes, RLETransferSyntaxes

from dicom_node.discretion import names_patient
from dicom_node.domain.errors import ReadError
from dicom_node.frames import FrameHeader, frame_count, numbers
from inference.volume import Window

#: Numbers one instance may decode to: 2^29 float32 are 2 GiB. That is 2,000 slices of 512 x 512 or 220 colour frames
#: of 1024 x 768; a header that claims more is refused before anything is allocated.
LARGEST_INSTANCE = 2**29

#: Without these no decoder can start (PS3.3 C.7.6.3).
REQUIRED = {
    "SamplesPerPixel": "Samples per Pixel (0028,0002)",
    "PhotometricInterpretation": "Photometric Interpretation (0028,0004)",
    "Rows": "Rows (0028,0010)",
    "Columns": "Columns (0028,0011)",
    "BitsAllocated": "Bits Allocated (0028,0100)",
}

#: Photometric Interpretation (PS3.3 C.7.6.3.1.2) -> Samples per Pixel it belongs to.
SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}

#: Where pixels may be (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25), with what marks padding there: value and range limit.
PIXEL_ELEMENTS = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


#: Which plugin decodes what. pydicom would try GDCM first and pylibjpeg for RLE; over a broken stream GDCM's C++ errors
#: end the process and the RLE plugin panics past every `except`, so that one bad file would take the worker with it.
DECODING_PLUGINS = {
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(RLETransferSyntaxes, "pydicom"),
}
OTHERWISE_DECODED_BY = "pylibjpeg"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame: float32 (row, column), NaN where padding, or (row, column, RGB) in 0..255; units as in `Volume`."""

    pixels: NDArray[np.float32]
    window: Window | None


def refuse_unreadable(header: Dataset) -> None:
    """Raise ReadError when the header alone shows that its pixels cannot be read, or must not be."""
    missing = [name for keyword, name in REQUIRED.items() if header.get(keyword) in (None, "")]
    if missing:
        raise ReadError(f"does not readably state {', '.join(missing)}")
    photometric, samples = str(header.PhotometricInterpretation), header.SamplesPerPixel
    if SAMPLES.get(photometric) != samples:
        shown = "something" if names_patient(photometric, header) else photometric
        raise ReadError(f"has {samples} samples per pixel as {shown}, which this node does not read")
    colours = 1 if photometric.startswith("MONOCHROME") else 3
    sizes = frame_count(header), int(header.Rows), int(header.Columns)
    if min(sizes) < 1:
        raise ReadError(f"states {sizes[0]} frames of {sizes[1]} x {sizes[2]} pixels")
    if math.prod(sizes) * colours > LARGEST_INSTANCE:
        raise ReadError(
            f"states {sizes[0]} frames of {sizes[1]} x {sizes[2]} pixels, more than this node decodes at once"
            f" ({LARGEST_INSTANCE} values)"
        )


def decode(path: Path, frames: Sequence[FrameHeader]) -> tuple[Picture, ...]:
    """The frames of the instance at `path`, whose header `refuse_unreadable` let pass.

    Raises ReadError for what is plainly wrong; what pydicom and its decoders raise over the rest passes through.
    """
    dataset = dcmread(path)
    keyword = _pixel_element(dataset)
    stored = pixel_array(dataset, decoding_plugin=_plugin(dataset.file_meta.TransferSyntaxUID))
    colours = (3,) if dataset.SamplesPerPixel == 3 else ()
    stored = stored.reshape(len(frames), dataset.Rows, dataset.Columns, *colours)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        _to_native_order(dataset)
        return tuple(_palette_colour(frame, dataset) for frame in stored)
    if colours:
        return tuple(_colour(frame, dataset.BitsStored) for frame in stored)
    return tuple(_grey(pixels, frame, keyword) for pixels, frame in zip(stored, frames, strict=True))


def _pixel_element(dataset: Dataset) -> str:
    """The keyword of the element that holds the pixels, after a look at what would make decoding fail or lie."""
    keyword = next((keyword for keyword in PIXEL_ELEMENTS if dataset.get(keyword)), None)
    if keyword is None:
        raise ReadError("carries no pixel data")
    transfer_syntax = dataset.file_meta.get("TransferSyntaxUID")
    if transfer_syntax is None:
        raise ReadError("does not state its transfer syntax")
    try:
        decoder = get_decoder(transfer_syntax)
    except NotImplementedError as error:
        raise ReadError(f"is compressed as {transfer_syntax.name}, which this node cannot decode") from error
    if transfer_syntax.is_encapsulated and _plugin(transfer_syntax) not in decoder.available_plugins:
        raise ReadError(f"is compressed as {transfer_syntax.name}; its decoder {_plugin(transfer_syntax)} is missing")
    if not transfer_syntax.is_encapsulated:
        held, expected = len(dataset[keyword].value), get_expected_length(dataset)
        # one byte pads to even length, and some devices pad to whole blocks; twice as much is another picture
        if not expected <= held < 2 * expected + 2:
            raise ReadError(f"holds {held} bytes of pixel data where its header asks for {expected}")
    return keyword


def is_decodable(transfer_syntax: UID) -> bool:
    """Whether pixel data in this transfer syntax become pixels here; what is not is kept, and not analysed."""
    try:
        decoder = get_decoder(transfer_syntax)
    except NotImplementedError:
        return False
    return not transfer_syntax.is_encapsulated or _plugin(transfer_syntax) in decoder.available_plugins


def _plugin(transfer_syntax: UID) -> str:
    """The plugin to decode with, as pydicom names it; empty where nothing is compressed."""
    return DECODING_PLUGINS.get(transfer_syntax, OTHERWISE_DECODED_BY) if transfer_syntax.is_encapsulated else ""


def _to_native_order(dataset: Dataset) -> None:
    """Turn the words of big endian palettes round, which pydicom 3's `apply_color_lut` reads as if little endian."""
    if dataset.file_meta.TransferSyntaxUID.is_little_endian:
        return
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if keyword in dataset:
            dataset[keyword].value = np.frombuffer(dataset[keyword].value, np.uint16).byteswap().tobytes()


def _palette_colour(stored: NDArray[Any], dataset: Dataset) -> Picture:
    bits_per_entry = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    return _colour(apply_color_lut(stored, dataset)[..., :3], bits_per_entry)


def _colour(stored: NDArray[Any], bits: int) -> Picture:
    pixels = stored.astype(np.float32)
    if bits != 8:
        pixels *= 255 / (2**bits - 1)
    return Picture(pixels, window=None)


def _grey(stored: NDArray[Any], frame: FrameHeader, keyword: str) -> Picture:
    pixels = _modality_values(stored, frame)
    window = _window(frame)
    voi_luts = frame.get("VOILUTSequence")
    if window is None and voi_luts:
        # C.11.2.1.1: the LUT's input is what the modality transformation gives, whole numbers
        pixels = _look_up(np.rint(pixels).astype(np.int64), voi_luts[0])
        full = 2.0 ** int(voi_luts[0].LUTDescriptor[2]) - 1
        window = Window(full / 2, full)
    pixels[_is_padding(stored, frame, keyword)] = np.nan
    if stored.dtype.kind == "f":
        pixels[~np.isfinite(pixels)] = np.nan
    return Picture(pixels, window)


def _modality_values(stored: NDArray[Any], frame: FrameHeader) -> NDArray[np.float32]:
    """Stored values in the modality's own units (PS3.3 C.11.1).

    Done here in float32: pydicom's `apply_modality_lut` makes float64 copies, and only of whole data sets.
    """
    modality_luts = frame.get("ModalityLUTSequence")
    if modality_luts:
        return _look_up(stored.astype(np.int64), modality_luts[0])
    pixels = stored.astype(np.float32)
    slope, intercept = numbers(frame.get("RescaleSlope"), 1), numbers(frame.get("RescaleIntercept"), 1)
    # a slope of zero would wipe the picture out; devices that write it mean "no rescale"
    if slope and intercept and slope[0] != 0 and (slope[0], intercept[0]) != (1.0, 0.0):
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


def _is_padding(stored: NDArray[Any], frame: FrameHeader, keyword: str) -> NDArray[np.bool_]:
    """Where stored values are padding (PS3.3 C.7.5.1.1.2): one value, or a range with both ends included."""
    ends = [end for end in (numbers(frame.get(name), 1) for name in PIXEL_ELEMENTS[keyword]) if end]
    if not ends or numbers(frame.get(PIXEL_ELEMENTS[keyword][0]), 1) is None:
        return np.zeros(stored.shape, dtype=np.bool_)
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


def assemble(pictures: Sequence[Picture], is_inverse: bool) -> tuple[NDArray[np.float32], Window | None]:
    """Pictures of one stack as `Volume.pixels`, with the window of the middle one, which shows most of the anatomy.

    `is_inverse` (MONOCHROME1) reflects values about the window's centre, or within their range where there is no
    window, so that brighter is larger. Padding then becomes the smallest value.
    """
    pixels = np.stack([picture.pixels for picture in pictures])
    window = pictures[len(pictures) // 2].window
    if pixels.ndim == 4:
        return pixels, None
    # fmin and fmax pass over NaN; they see a large stack once and copy nothing
    smallest, largest = np.fmin.reduce(pixels, axis=None), np.fmax.reduce(pixels, axis=None)
    if np.isnan(smallest):
        return np.zeros_like(pixels), window
    if is_inverse:
        mirror = np.float32(2 * window.center) if window else smallest + largest
        np.subtract(mirror, pixels, out=pixels)
        smallest = mirror - largest
    np.fmax(pixels, smallest, out=pixels)
    return pixels, window
