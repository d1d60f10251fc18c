"""Files of uncompressed grey images as nearly all devices write them, parsed up to their pixels; others are pydicom's.

pydicom asks some fifty questions of every element whose answers are the same in nearly all files. They take longer than
the pixels of a slice. What is found here is what pydicom would find, or nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.charset import convert_encodings, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.headers import PlainHeader
from dicom_node.native_pixels import is_grey
from dicom_node.plain_elements import Elements, NotPlain, NotWhole, PlainElements, plain_meta
from dicom_node.plain_values import converted
from dicom_node.unreadable import UNREADABLE
from dicom_node.usable_headers import READ_KEYWORDS

#: So much of a file is read at first, and so much if that is not all of its header, in bytes.
_AT_FIRST, _AT_MOST = 1 << 14, 1 << 20
_TRANSFER_SYNTAX = 0x00020010
#: pydicom ends a header at any of these; the last is Pixel Data.
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_PIXEL_DATA = b"\xe0\x7f\x10\0"

#: What reading looks at in the header of a grey image beside `READ_KEYWORDS`.
_GREY_KEYWORDS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter"),
    *("WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence"),
)
_KEYWORDS = {int(Tag(keyword)): keyword for keyword in (*READ_KEYWORDS, *_GREY_KEYWORDS)}
_IMPLICIT_VRS = {tag: dictionary_VR(tag).encode("ascii") for tag in _KEYWORDS}
_NOTHING = dict.fromkeys(_KEYWORDS.values())


def plain_file(path: Path) -> tuple[PlainHeader, int] | None:
    """The header of a file, and where its pixels begin: at the element that holds them. None: pydicom must read it.

    Raises OSError where the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        content = file.read(_AT_FIRST)
        try:
            return plain_header(content)
        except NotWhole:
            if len(content) < _AT_FIRST:
                return None
        except NotPlain:
            return None
        try:
            return plain_header(content + file.read(_AT_MOST))
        except NotPlain:
            return None


def plain_header(content: bytes) -> tuple[PlainHeader, int]:
    """The header at the beginning of a file, and where its pixels begin. Raises NotPlain."""
    is_implicit_vr, at = _data_set(content)
    found, end = PlainElements(content, is_implicit_vr=is_implicit_vr).before(_PIXELS, _KEYWORDS, at)
    if content[end : end + len(_PIXEL_DATA)] != _PIXEL_DATA:
        raise NotPlain
    header = PlainHeader(_values(content, found), content[:end])
    if not is_grey(header):
        raise NotPlain
    return header, end


def _data_set(content: bytes) -> tuple[bool, int]:
    """Whether the data set behind the file meta information has implicit VRs, and where it begins."""
    found, begin = plain_meta(content, (_TRANSFER_SYNTAX,))
    vr, start, length = found.get(_TRANSFER_SYNTAX, (b"", 0, 0))
    transfer_syntax = content[start : start + length].rstrip(b"\0")
    if vr != b"UI" or transfer_syntax not in _IS_IMPLICIT_VR:
        raise NotPlain
    if len(content) < begin + 6:
        raise NotWhole
    is_implicit_vr = _IS_IMPLICIT_VR[transfer_syntax]
    vr = content[begin + 4 : begin + 6]
    if is_implicit_vr and vr.isalpha() and vr.isupper():  # explicit VRs all the same, as pydicom tells them
        raise NotPlain
    return is_implicit_vr, begin


def _values(content: bytes, elements: Elements) -> dict[str, Any]:
    """Keyword -> value of every element that can be converted, as pydicom does; None where it is absent."""
    values: dict[str, Any] = dict(_NOTHING)
    doubtful = []
    for tag, (stated_vr, start, length) in elements.items():
        vr, value = stated_vr or _implicit_vr(tag, values), content[start : start + length]
        if vr == b"UN" or (vr == b"SQ" and length):
            raise NotPlain
        try:
            values[_KEYWORDS[tag]] = converted(vr, value)
        except ValueError:
            doubtful.append(RawDataElement(BaseTag(tag), vr.decode("ascii"), length, value, 0, not stated_vr, True))
    if doubtful:
        values |= _by_pydicom(doubtful, values)
    return values


def _implicit_vr(tag: int, values: dict[str, Any]) -> bytes:
    """What the dictionary says; where it says US or SS, the pixels' own sign tells."""
    vr, is_signed = _IMPLICIT_VRS[tag], values["PixelRepresentation"]
    if vr != b"US or SS":
        return vr
    if is_signed not in (0, 1):
        raise NotPlain
    return b"SS" if is_signed else b"US"


def _by_pydicom(elements: list[RawDataElement], values: dict[str, Any]) -> dict[str, Any]:
    """Keyword -> value of elements in which there is more than ASCII, or not what belongs there."""
    stated = values["SpecificCharacterSet"] or ""
    character_sets = [stated] if isinstance(stated, str) else list(stated)
    if not set(character_sets) <= set(python_encoding):
        raise NotPlain
    encodings = convert_encodings(character_sets)
    found = {}
    for element in elements:
        try:
            found[_KEYWORDS[element.tag]] = convert_raw_data_element(element, encoding=encodings).value
        except UNREADABLE:
            found[_KEYWORDS[element.tag]] = None
    return found


_IS_IMPLICIT_VR = {
    syntax.encode("ascii"): syntax.is_implicit_VR for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
}
