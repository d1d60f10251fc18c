"""Pixels of one instance as numbers: decoded, grey as the modality's values, colour as RGB.

A frame at a time, read from the file where its header ended: nothing is read twice but what was read on behind the
header, and no more than a frame is held.
"""

from __future__ import annotations

import copy
import math
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.encaps import parse_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options, get_expected_length
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGLSTransferSyntaxes, RLETransferSyntaxes

from dicom_node.discretion import names_patient
from dicom_node.domain.errors import ReadError
from dicom_node.frames import FrameHeader, frame_count
from dicom_node.grey_values import PIXEL_ELEMENTS, Picture, grey
from dicom_node.headers import Header, PlainHeader
from dicom_node.native_pixels import expected_length, is_grey, native_frames
from dicom_node.plain_files import plain_file
from dicom_node.usable_headers import drop_undecodable, is_read

#: Numbers one instance may decode to: 12,000 slices of 512 x 512 or 1,300 colour frames of 1024 x 768; and one frame,
#: which is in memory as a whole: 11,000 x 11,000. A header that claims more is refused before anything is allocated.
LARGEST_INSTANCE = 3 * 2**30
LARGEST_FRAME = 2**27

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

#: Which plugin decodes what. pydicom would try GDCM first and pylibjpeg for RLE; over a broken stream GDCM's C++ errors
#: end the process and the RLE plugin panics past every `except`, so that one bad file would take the worker with it.
DECODING_PLUGINS = {
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(RLETransferSyntaxes, "pydicom"),
}
OTHERWISE_DECODED_BY = "pylibjpeg"
_NO_PIXELS = "carries no pixel data"
#: Tag of the item that ends encapsulated pixel data, which are little endian always.
_SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0"


def refuse_unreadable(header: Header) -> None:
    """Raise ReadError when the header alone shows that its pixels cannot be read, or must not be."""
    missing = [name for keyword, name in REQUIRED.items() if header.get(keyword) in (None, "")]
    if missing:
        raise ReadError(f"does not readably state {', '.join(missing)}")
    photometric, samples = str(header.get("PhotometricInterpretation")), header.get("SamplesPerPixel")
    if SAMPLES.get(photometric) != samples:
        shown = "something" if names_patient(photometric, header) else photometric
        raise ReadError(f"has {samples} samples per pixel as {shown}, which this node does not read")
    colours = 1 if photometric.startswith("MONOCHROME") else 3
    sizes = frame_count(header), int(header.get("Rows")), int(header.get("Columns"))
    if min(sizes) < 1:
        raise ReadError(f"states {sizes[0]} frames of {sizes[1]} x {sizes[2]} pixels")
    if math.prod(sizes) * colours > LARGEST_INSTANCE:
        raise ReadError(
            f"states {sizes[0]} frames of {sizes[1]} x {sizes[2]} pixels, more than this node decodes at once"
            f" ({LARGEST_INSTANCE} values)"
        )
    if math.prod(sizes[1:]) * colours > LARGEST_FRAME:
        raise ReadError(
            f"states frames of {sizes[1]} x {sizes[2]} pixels, more than this node decodes at once"
            f" ({LARGEST_FRAME} values)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """An instance in a file, parsed up to its pixels."""

    path: Path
    #: With its file meta information.
    header: Header
    #: Where in the file the header ended: at the element that holds the pixels, if there is one.
    pixels_at: int


def read_header(path: Path) -> Encoded:
    """Parse a file up to its pixels, and make usable what reading looks at. What pydicom raises passes through."""
    plain = plain_file(path)
    if plain is not None:
        return Encoded(path, *plain)
    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True)
        drop_undecodable(header, is_read)
        return Encoded(path, header, file.tell())


def is_bytes(header: Header) -> bool:
    """Whether the pixels come out as whole numbers from 0 to 255: colour of eight bits."""
    return bool(header.get("SamplesPerPixel") == 3 and header.get("BitsStored") == 8)


def decode(
    instance: Encoded, frames: Sequence[FrameHeader], rooms: Sequence[NDArray[np.float32] | None] = ()
) -> Iterator[Picture]:
    """The frames of an instance whose header `refuse_unreadable` let pass, one after the other.

    `rooms`: where the pixels of each frame may be put, (row, column); they are so where that saves a copy.
    Raises ReadError for what is plainly wrong; what pydicom and its decoders raise over the rest passes through.
    """
    header, places = instance.header, zip(frames, rooms or [None] * len(frames), strict=True)
    if isinstance(header, PlainHeader):
        yield from _plain_pictures(instance, header, places)
        return
    with _pixel_data(instance, header) as (file, keyword, options):
        palette = _in_native_order(header) if header.PhotometricInterpretation == "PALETTE COLOR" else None
        for stored, (frame, room) in zip(_stored(file, header, options), places, strict=True):
            if palette is not None:
                yield _palette_colour(stored, palette)
            elif header.SamplesPerPixel == 3:
                yield _colour(stored, header.BitsStored)
            else:
                yield grey(stored, frame, keyword, room)


def _plain_pictures(
    instance: Encoded, header: PlainHeader, places: Iterable[tuple[FrameHeader, NDArray[np.float32] | None]]
) -> Iterator[Picture]:
    with _at_element(instance, is_little_endian=True) as (file, keyword, _, length):
        _check_length(expected_length(header), length)
        for stored, (frame, room) in zip(native_frames(file, header), places, strict=True):
            yield grey(stored, frame, keyword, room)


def _stored(file: BufferedReader | BytesIO, header: Dataset, options: dict[str, Any]) -> Iterator[NDArray[Any]]:
    """The frames as they are stored, from a file at the first byte of the pixels."""
    transfer_syntax = header.file_meta.TransferSyntaxUID
    is_native = transfer_syntax.is_little_endian and not transfer_syntax.is_encapsulated
    if is_native and options["pixel_keyword"] == "PixelData" and is_grey(header):
        return native_frames(file, header)
    decoded = get_decoder(transfer_syntax).iter_array(
        file, decoding_plugin=_plugin(transfer_syntax), view_only=True, **options
    )
    return (stored for stored, _ in decoded)


@contextmanager
def _pixel_data(instance: Encoded, header: Dataset) -> Iterator[tuple[BufferedReader | BytesIO, str, dict[str, Any]]]:
    """The file at the first byte of the pixels, the keyword of their element, and what pydicom must know to decode
    them; after a look at what would make decoding fail or lie."""
    with _at_pixels(instance, header) as (file, keyword, vr, length):
        _check_decodable(header)
        if header.file_meta.TransferSyntaxUID.is_encapsulated:
            _check_whole(file)
        else:
            _check_length(get_expected_length(header), length)
            _check_colours(header, length)
        told = {"pixel_vr": vr} if vr else {}
        yield file, keyword, as_pixel_options(header, pixel_keyword=keyword, **told)


@contextmanager
def _at_pixels(instance: Encoded, header: Dataset) -> Iterator[tuple[BufferedReader | BytesIO, str, str, int]]:
    """A file at the first byte of the pixels; keyword and VR of their element (empty: not stated), and their length."""
    if header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        whole = dcmread(instance.path)
        element = next((whole[keyword] for keyword in PIXEL_ELEMENTS if whole.get(keyword)), None)
        if element is None:
            raise ReadError(_NO_PIXELS)
        yield BytesIO(element.value), element.keyword, element.VR, len(element.value)
        return
    with _at_element(instance, is_little_endian=header.original_encoding[1] is not False) as found:
        yield found


@contextmanager
def _at_element(instance: Encoded, *, is_little_endian: bool) -> Iterator[tuple[BufferedReader, str, str, int]]:
    """`_at_pixels` where the file is no deflated one."""
    with instance.path.open("rb") as file:
        file.seek(instance.pixels_at)
        keyword, vr, length = _element(file, is_little_endian=is_little_endian)
        if not length:
            raise ReadError(_NO_PIXELS)
        yield file, keyword, vr, min(length, os.fstat(file.fileno()).st_size - file.tell())


def _element(file: BufferedReader | BytesIO, *, is_little_endian: bool) -> tuple[str, str, int]:
    """Keyword, VR (empty where it is implicit) and length of the element with the pixels (PS3.5 7.1.2, 7.1.3)."""
    order, start = "<" if is_little_endian else ">", file.read(8)
    if len(start) < 8:
        return "", "", 0
    group, number = struct.unpack(f"{order}HH", start[:4])
    keyword = keyword_for_tag((group, number))
    # a length is even, and the first letter of each of these an odd number: they are not taken for one another
    vr = start[4:6].decode("latin-1") if start[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN") else ""
    [length] = struct.unpack(f"{order}L", file.read(4) if vr else start[4:])
    return keyword, vr, length if keyword in PIXEL_ELEMENTS else 0


def _check_decodable(header: Dataset) -> None:
    transfer_syntax = header.file_meta.get("TransferSyntaxUID")
    if transfer_syntax is None:
        raise ReadError("does not state its transfer syntax")
    try:
        decoder = get_decoder(transfer_syntax)
    except NotImplementedError as error:
        raise ReadError(f"is compressed as {transfer_syntax.name}, which this node cannot decode") from error
    if transfer_syntax.is_encapsulated and _plugin(transfer_syntax) not in decoder.available_plugins:
        raise ReadError(f"is compressed as {transfer_syntax.name}; its decoder {_plugin(transfer_syntax)} is missing")


def _check_whole(file: BufferedReader | BytesIO) -> None:
    """See that the fragments have an end (PS3.5 A.4): some decoders make a picture of half a stream, and do not say so.
    The file stays where it is."""
    start = file.tell()
    _, fragments = parse_fragments(file)
    file.seek(fragments[-1] if fragments else start)
    _, length = struct.unpack("<LL", file.read(8))
    file.seek(length if fragments else -8, os.SEEK_CUR)
    if file.read(len(_SEQUENCE_DELIMITER)) != _SEQUENCE_DELIMITER:
        raise ReadError("holds pixel data that are cut off")
    file.seek(start)


def _check_length(expected: int, held: int) -> None:
    # one byte pads to even length, and some devices pad to whole blocks; twice as much is another picture
    if not expected <= held < 2 * expected + 2:
        raise ReadError(f"holds {held} bytes of pixel data where its header asks for {expected}")


def _check_colours(header: Dataset, held: int) -> None:
    if header.PhotometricInterpretation == "YBR_FULL_422" and held >= get_expected_length(header) // 2 * 3:
        raise ReadError("holds colours for every pixel where its header says for every other (YBR_FULL_422)")


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


def _in_native_order(header: Dataset) -> Dataset:
    """The header with the words of big endian palettes turned round, which pydicom 3's `apply_color_lut` reads as if
    little endian; itself where they are not."""
    if header.file_meta.TransferSyntaxUID.is_little_endian:
        return header
    turned = copy.copy(header)
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if keyword in header:
            words = np.frombuffer(header[keyword].value, np.uint16).byteswap().tobytes()
            turned[keyword] = DataElement(header[keyword].tag, header[keyword].VR, words)
    return turned


def _palette_colour(stored: NDArray[Any], dataset: Dataset) -> Picture:
    bits_per_entry = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    return _colour(apply_color_lut(stored, dataset)[..., :3], bits_per_entry)


def _colour(stored: NDArray[Any], bits: int) -> Picture:
    pixels = stored.astype(np.float32)
    if bits != 8:
        pixels *= 255 / (2**bits - 1)
    return Picture(pixels, window=None, is_padded=False)
