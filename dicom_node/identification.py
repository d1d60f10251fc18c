"""What an arrival says of itself: where it belongs, who made it, how urgent it is; no pixel is decoded for it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from dicom_node.domain.errors import CannotUnderstand, DatasetMismatch
from dicom_node.domain.study import InstanceKind, Maker
from dicom_node.spool import InstanceAddress, checked_address, checked_uid

_SOP_CLASS_UID = Tag("SOPClassUID")
_SOP_INSTANCE_UID = Tag("SOPInstanceUID")
_STUDY_INSTANCE_UID = Tag("StudyInstanceUID")
_SERIES_INSTANCE_UID = Tag("SeriesInstanceUID")
_IDENTIFYING_TAGS = frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID})
_MODALITY = Tag("Modality")
_MANUFACTURER = Tag("Manufacturer")
_MODEL_NAME = Tag("ManufacturerModelName")
_REQUESTED_PROCEDURE_PRIORITY = Tag("RequestedProcedurePriority")
#: Elements are in ascending order of tag (PS3.5 7.1), so nothing after the last of these need be parsed.
_READ_TAGS: list[BaseTag | int] = [
    *_IDENTIFYING_TAGS, _MODALITY, _MANUFACTURER, _MODEL_NAME, _REQUESTED_PROCEDURE_PRIORITY,
]  # fmt: skip
_UNDEFINED_LENGTH = 0xFFFFFFFF
#: No header before the Series Instance UID is longer; a deflated data set is not inflated beyond it.
_LONGEST_HEADER_BYTES = 64 << 20
#: What pydicom raises on bytes that are no data set; it has no family of its own for them.
PARSE_ERRORS = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError, RecursionError,
    EOFError, OSError, struct.error, zlib.error,
)  # fmt: skip

#: What an object is to the node, by its SOP Class UID, its SOP Instance UID and its maker.
Classify = Callable[[str, str, Maker], InstanceKind]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE request: the data set's bytes as they came, and what the request says they are."""

    dataset: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    #: Priority (0000,0700): 0 medium, 1 high, 2 low (PS3.7 9.3.1.1).
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a data set belongs, and what it says of its making. Texts are empty where it says nothing."""

    address: InstanceAddress
    maker: Maker
    #: Modality (0008,0060).
    modality: str
    #: Requested Procedure Priority (0040,1003).
    requested_procedure_priority: str


def identify(arrival: Arrival) -> InstanceAddress:
    """Where an arrival belongs; raises as `identity_of`."""
    return identity_of(arrival).address


def identity_of(arrival: Arrival) -> Identity:
    """Read where an arrival belongs and who made it, and hold its data set to what the request says.

    Raises CannotUnderstand when the bytes are no data set or a UID is missing or none, DatasetMismatch when SOP
    Class or SOP Instance UID differ from the request (PS3.4 B.2.3).
    """
    header = _read(arrival)
    return Identity(
        _address_in(header, arrival),
        Maker(_text(header.get(_MANUFACTURER)), _text(header.get(_MODEL_NAME))),
        modality=_text(header.get(_MODALITY)),
        requested_procedure_priority=_text(header.get(_REQUESTED_PROCEDURE_PRIORITY)),
    )


def _address_in(header: Mapping[BaseTag, RawDataElement], arrival: Arrival) -> InstanceAddress:
    try:
        uids = {tag: _uid_text(header[tag]) for tag in _IDENTIFYING_TAGS & header.keys()}
    except PARSE_ERRORS as error:
        raise _not_a_data_set(arrival, error) from error
    address = InstanceAddress(
        study_instance_uid=uids.get(_STUDY_INSTANCE_UID, ""),
        series_instance_uid=uids.get(_SERIES_INSTANCE_UID, ""),
        sop_instance_uid=uids.get(_SOP_INSTANCE_UID, ""),
    )
    requested = ((_SOP_CLASS_UID, arrival.sop_class_uid), (_SOP_INSTANCE_UID, arrival.sop_instance_uid))
    for tag, uid in requested:
        if tag not in uids:
            raise CannotUnderstand(f"no {keyword_for_tag(tag)} in the data set")
        if uids[tag] != uid:
            raise DatasetMismatch(f"{keyword_for_tag(tag)} differs from request")
    checked_address(address)
    checked_uid(arrival.sop_class_uid, keyword_for_tag(_SOP_CLASS_UID))
    return address


def _read(arrival: Arrival) -> dict[BaseTag, RawDataElement]:
    """The elements that matter here. What is broken behind the identifying ones is for the reader to find."""
    syntax = UID(arrival.transfer_syntax_uid)
    found: dict[BaseTag, RawDataElement] = {}
    try:
        dataset = _inflated(arrival.dataset) if syntax.is_deflated else arrival.dataset
        elements = data_element_generator(
            io.BytesIO(dataset),
            is_implicit_VR=syntax.is_implicit_VR,
            is_little_endian=syntax.is_little_endian,
            stop_when=_is_enough,
            specific_tags=_READ_TAGS,
        )
        for element in elements:
            # identifiers out of their order, behind the last of them, are not read, as if reading had ended there
            is_in_order = _SERIES_INSTANCE_UID not in found or element.tag == _REQUESTED_PROCEDURE_PRIORITY
            if is_in_order and isinstance(element, RawDataElement) and element.tag in _READ_TAGS:
                found[element.tag] = element
    except PARSE_ERRORS as error:
        if _SERIES_INSTANCE_UID not in found:
            raise _not_a_data_set(arrival, error) from error
    return found


def _is_enough(tag: BaseTag, _vr: str | None, length: int) -> bool:
    """Behind the identifying elements nothing is read that must be parsed to be skipped."""
    is_long = tag > _SERIES_INSTANCE_UID and length == _UNDEFINED_LENGTH
    return is_long or tag > _REQUESTED_PROCEDURE_PRIORITY


def _not_a_data_set(arrival: Arrival, error: Exception) -> CannotUnderstand:
    return CannotUnderstand(f"not a data set in {UID(arrival.transfer_syntax_uid).name}: {type(error).__name__}")


def _text(element: RawDataElement | None) -> str:
    """A text without its padding, empty where there is none; in whatever character set, ASCII is what is looked for."""
    return "" if element is None else (element.value or b"").decode("ascii", "replace").strip("\0 ")


def _uid_text(element: RawDataElement) -> str:
    """A UI value without its padding (PS3.5 6.2); some senders pad with a space."""
    value = element.value or b""
    if len(value) != element.length:
        raise EOFError(f"the data set ends inside {keyword_for_tag(element.tag)}")
    return value.rstrip(b"\0 ").decode("ascii")


def _inflated(dataset: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _LONGEST_HEADER_BYTES)
