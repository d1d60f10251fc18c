"""From received bytes to a recorded instance: identify, keep on disk, record; no network, no decoded pixels.

An instance is recorded only after its file is durable, and its sender hears success only after it is recorded.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from dicom_node.domain.errors import CannotUnderstand, DatasetMismatch, OutOfResources, StoreError
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.spool import InstanceAddress, Kept, Spool, checked_address, file_meta_of
from dicom_node.store import Receipt

_LOGGER = logging.getLogger(__name__)

_SOP_CLASS_UID = Tag("SOPClassUID")
_SOP_INSTANCE_UID = Tag("SOPInstanceUID")
_STUDY_INSTANCE_UID = Tag("StudyInstanceUID")
_SERIES_INSTANCE_UID = Tag("SeriesInstanceUID")
#: Elements are in ascending order of tag (PS3.5 7.1), so nothing after the last of these need be parsed.
_IDENTIFYING_TAGS: list[BaseTag | int] = [_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID]
#: No header before the Series Instance UID is longer; a deflated data set is not inflated beyond it.
_LONGEST_HEADER_BYTES = 64 << 20
#: What pydicom raises on bytes that are no data set; it has no family of its own for them.
PARSE_ERRORS = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError, RecursionError,
    EOFError, OSError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE request: the data set's bytes as they came, and what the request says they are."""

    dataset: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """An instance that is on disk and in the database."""

    instance: Instance
    receipt: Receipt


class InstanceRegister(Protocol):
    """Where received instances are recorded; the store."""

    def record_instance(self, instance: Instance, *, calling_ae: str, now: float) -> Receipt:
        """Record durably; raises StoreError."""


class Receiver:
    """Keeps and records what arrives. Safe for many threads, as far as its register is.

    `classify` tells what an object is to the node from its SOP Class UID and its SOP Instance UID.
    """

    def __init__(self, spool: Spool, register: InstanceRegister, classify: Callable[[str, str], InstanceKind]) -> None:
        self._spool = spool
        self._register = register
        self._classify = classify

    def receive(self, arrival: Arrival, *, now: float) -> Recorded:
        """Keep and record one arrival; on return it survives a power cut.

        Raises CannotUnderstand, DatasetMismatch or OutOfResources (PS3.4 B.2.3); then nothing is recorded.
        """
        address = identify(arrival)
        meta = file_meta_of(arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)
        kept = self._spool.keep(address, arrival.dataset, meta)
        instance = self._instance(arrival, address, kept)
        try:
            receipt = self._register.record_instance(instance, calling_ae=arrival.calling_ae_title, now=now)
        except StoreError as error:
            raise OutOfResources(f"{address.sop_instance_uid} is on disk but cannot be recorded: {error}") from error
        if not kept.path.exists():  # its study was removed between the two: now that its row stands, this one stays
            kept = self._spool.keep(address, arrival.dataset, meta)
        if receipt is Receipt.CONFLICT:
            instance = replace(instance, path=self._set_aside(kept, address))
        return Recorded(instance, receipt)

    def _instance(self, arrival: Arrival, address: InstanceAddress, kept: Kept) -> Instance:
        return Instance(
            sop_instance_uid=address.sop_instance_uid,
            sop_class_uid=arrival.sop_class_uid,
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            series_instance_uid=address.series_instance_uid,
            study_instance_uid=address.study_instance_uid,
            kind=self._classify(arrival.sop_class_uid, arrival.sop_instance_uid),
            path=kept.path,
            size_bytes=kept.size_bytes,
            digest=kept.digest,
        )

    def _set_aside(self, kept: Kept, address: InstanceAddress) -> Path:
        aside = self._spool.set_aside(kept, address)
        _LOGGER.warning(
            "%s of study %s arrived again with other content; the first stays, this one is kept as %s",
            address.sop_instance_uid,
            address.study_instance_uid,
            aside,
            extra={"action": "instance_conflict"},
        )
        return aside


def identify(arrival: Arrival) -> InstanceAddress:
    """Read where an arrival belongs, and hold its data set to what the request says.

    Raises CannotUnderstand when the bytes are no data set or a UID is missing or none, DatasetMismatch when SOP
    Class or SOP Instance UID differ from the request (PS3.4 B.2.3).
    """
    uids = _identifying_uids(arrival)
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
    return address


def _identifying_uids(arrival: Arrival) -> dict[BaseTag, str]:
    syntax = UID(arrival.transfer_syntax_uid)
    try:
        dataset = _inflated(arrival.dataset) if syntax.is_deflated else arrival.dataset
        elements = data_element_generator(
            io.BytesIO(dataset),
            is_implicit_VR=syntax.is_implicit_VR,
            is_little_endian=syntax.is_little_endian,
            stop_when=lambda tag, _vr, _length: tag > _SERIES_INSTANCE_UID,
            specific_tags=_IDENTIFYING_TAGS,
        )
        return {
            element.tag: _uid_text(element)
            for element in elements
            if isinstance(element, RawDataElement) and element.tag in _IDENTIFYING_TAGS
        }
    except PARSE_ERRORS as error:
        raise CannotUnderstand(f"not a data set in {syntax.name}: {type(error).__name__}") from error


def _uid_text(element: RawDataElement) -> str:
    """A UI value without its padding (PS3.5 6.2); some senders pad with a space."""
    value = element.value or b""
    if len(value) != element.length:
        raise EOFError(f"the data set ends inside {keyword_for_tag(element.tag)}")
    return value.rstrip(b"\0 ").decode("ascii")


def _inflated(dataset: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _LONGEST_HEADER_BYTES)
