"""What an arrival says of itself: where it belongs, who made it, how urgent it is; no pixel is decoded for it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from dicom_node.domain.errors import CannotUnderstand, DatasetMismatch
from dicom_node.domain.study import InstanceKind, Maker
from dicom_node.plain_head import Wanted, plain_head
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
_LAST_IDENTIFYING, _LAST_READ = int(_SERIES_INSTANCE_UID), int(_REQUESTED_PROCEDURE_PRIORITY)
_TAG_OF = {int(tag): BaseTag(tag) for tag in _READ_TAGS}
_WANTED = Wanted(_TAG_OF, _LAST_IDENTIFYING, _LAST_READ)
_UNDEFINED_LENGTH = 0xFFFFFFFF
#: What is read of a data set: as much as nearly all need, then as much as any header has before its last element here.
_HEADER_BYTES = (32 << 10, 64 << 20)
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


class Announced(Protocol):
    """What a request says that its data set is; an Arrival, or one whose data set is elsewhere."""

    @property
    def sop_class_uid(self) -> str:
        """Affected SOP Class UID (0000,0002)."""

    @property
    def sop_instance_uid(self) -> str:
        """Affected SOP Instance UID (0000,1000)."""

    @property
    def transfer_syntax_uid(self) -> str:
        """That of the presentation context."""


class Readable(Protocol):
    """A data set, read from its beginning; a binary file is one."""

    def read(self, most_bytes: int, /) -> bytes:
        """The next bytes, fewer only where it ends."""


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
    """As `identity_in`, of a data set in memory."""
    return identity_in(io.BytesIO(arrival.dataset), arrival)


def identity_in(dataset: Readable, announced: Announced) -> Identity:
    """Read where a data set belongs and who made it, and hold it to what the request says; no more than its head.

    Raises CannotUnderstand when the bytes are no data set or a UID is missing or none, DatasetMismatch when SOP
    Class or SOP Instance UID differ from the request (PS3.4 B.2.3).
    """
    header = _read(dataset, announced)
    return Identity(
        _address_in(header, announced),
        Maker(_text(header.get(_MANUFACTURER)), _text(header.get(_MODEL_NAME))),
        modality=_text(header.get(_MODALITY)),
        requested_procedure_priority=_text(header.get(_REQUESTED_PROCEDURE_PRIORITY)),
    )


def _address_in(header: Mapping[BaseTag, RawDataElement], announced: Announced) -> InstanceAddress:
    try:
        uids = {tag: _uid_text(header[tag]) for tag in _IDENTIFYING_TAGS & header.keys()}
    except PARSE_ERRORS as error:
        raise _not_a_data_set(announced, error) from error
    address = InstanceAddress(
        study_instance_uid=uids.get(_STUDY_INSTANCE_UID, ""),
        series_instance_uid=uids.get(_SERIES_INSTANCE_UID, ""),
        sop_instance_uid=uids.get(_SOP_INSTANCE_UID, ""),
    )
    requested = ((_SOP_CLASS_UID, announced.sop_class_uid), (_SOP_INSTANCE_UID, announced.sop_instance_uid))
    for tag, uid in requested:
        if tag not in uids:
            raise CannotUnderstand(f"no {keyword_for_tag(tag)} in the data set")
        if uids[tag] != uid:
            raise DatasetMismatch(f"{keyword_for_tag(tag)} differs from request")
    checked_address(address)
    checked_uid(announced.sop_class_uid, keyword_for_tag(_SOP_CLASS_UID))
    return address


def _read(dataset: Readable, announced: Announced) -> dict[BaseTag, RawDataElement]:
    """The elements that matter here. What is broken behind the identifying ones is for the reader to find."""
    encoding, content = _encoding(announced.transfer_syntax_uid), b""
    head = _Head({}, None, is_enough=False)
    for most in _HEADER_BYTES:
        content += dataset.read(most - len(content))
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, most) if encoding.is_deflated else content
        except zlib.error as error:
            raise _not_a_data_set(announced, error) from error
        head = _parse(plain, encoding)
        if head.is_enough or max(len(content), len(plain)) < most:
            break
    if head.broken is not None and _SERIES_INSTANCE_UID not in head.found:
        raise _not_a_data_set(announced, head.broken) from head.broken
    return head.found


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How a transfer syntax encodes elements; pydicom looks at the UID anew each time it is asked."""

    is_implicit_vr: bool
    is_little_endian: bool
    is_deflated: bool


@lru_cache
def _encoding(transfer_syntax_uid: str) -> _Encoding:
    uid = UID(transfer_syntax_uid)
    return _Encoding(uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)


@dataclass(frozen=True, slots=True)
class _Head:
    """What the first bytes of a data set say."""

    found: dict[BaseTag, RawDataElement]
    broken: Exception | None
    #: Nothing behind them matters.
    is_enough: bool


def _parse(content: bytes, encoding: _Encoding) -> _Head:
    is_implicit_vr = encoding.is_implicit_vr
    plain = plain_head(content, _WANTED, is_implicit_vr=is_implicit_vr) if encoding.is_little_endian else None
    if plain is None:
        return _parse_with_care(content, encoding)
    found = {
        _TAG_OF[tag]: RawDataElement(_TAG_OF[tag], None, len(value), value, 0, is_implicit_vr, is_little_endian=True)
        for tag, value in plain.items()
    }
    return _Head(found, None, is_enough=True)


def _parse_with_care(content: bytes, encoding: _Encoding) -> _Head:
    found: dict[BaseTag, RawDataElement] = {}
    ends: list[BaseTag] = []

    def is_enough(tag: BaseTag, _vr: str | None, length: int) -> bool:
        """Behind the identifying elements nothing is read that must be parsed to be skipped."""
        number = int(tag)  # a BaseTag compares ten times as slowly
        if number > _LAST_READ or (length == _UNDEFINED_LENGTH and number > _LAST_IDENTIFYING):
            ends.append(tag)
        return bool(ends)

    try:
        elements = data_element_generator(
            io.BytesIO(content),
            is_implicit_VR=encoding.is_implicit_vr,
            is_little_endian=encoding.is_little_endian,
            stop_when=is_enough,
            specific_tags=_READ_TAGS,
        )
        for element in elements:
            # identifiers out of their order, behind the last of them, are not read, as if reading had ended there
            is_in_order = _SERIES_INSTANCE_UID not in found or element.tag == _REQUESTED_PROCEDURE_PRIORITY
            if is_in_order and isinstance(element, RawDataElement) and element.tag in _READ_TAGS:
                found[element.tag] = element
    except PARSE_ERRORS as error:
        return _Head(found, error, is_enough=False)
    return _Head(found, None, is_enough=bool(ends))


def _not_a_data_set(announced: Announced, error: Exception) -> CannotUnderstand:
    return CannotUnderstand(f"not a data set in {UID(announced.transfer_syntax_uid).name}: {type(error).__name__}")


def _text(element: RawDataElement | None) -> str:
    """A text without its padding, empty where there is none; in whatever character set, ASCII is what is looked for."""
    return "" if element is None else (element.value or b"").decode("ascii", "replace").strip("\0 ")


def _uid_text(element: RawDataElement) -> str:
    """A UI value without its padding (PS3.5 6.2); some senders pad with a space."""
    value = element.value or b""
    if len(value) != element.length:
        raise EOFError(f"the data set ends inside {keyword_for_tag(element.tag)}")
    return value.rstrip(b"\0 ").decode("ascii")
