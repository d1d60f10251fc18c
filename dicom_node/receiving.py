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
from dicom_node.domain.urgency import Urgency
from dicom_node.spool import InstanceAddress, Kept, Spool, checked_address, file_meta_of
from dicom_node.store import Receipt
from dicom_node.urgency import Signs, UrgencyRules, urgency_of

_LOGGER = logging.getLogger(__name__)

_SOP_CLASS_UID = Tag("SOPClassUID")
_SOP_INSTANCE_UID = Tag("SOPInstanceUID")
_STUDY_INSTANCE_UID = Tag("StudyInstanceUID")
_SERIES_INSTANCE_UID = Tag("SeriesInstanceUID")
_IDENTIFYING_TAGS = frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID})
_MODALITY = Tag("Modality")
_REQUESTED_PROCEDURE_PRIORITY = Tag("RequestedProcedurePriority")
#: Elements are in ascending order of tag (PS3.5 7.1), so nothing after the last of these need be parsed.
_READ_TAGS: list[BaseTag | int] = [*_IDENTIFYING_TAGS, _MODALITY, _REQUESTED_PROCEDURE_PRIORITY]
_UNDEFINED_LENGTH = 0xFFFFFFFF
#: No header before the Series Instance UID is longer; a deflated data set is not inflated beyond it.
_LONGEST_HEADER_BYTES = 64 << 20
#: What pydicom raises on bytes that are no data set; it has no family of its own for them.
_PARSE_ERRORS = (
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
    #: Priority (0000,0700): 0 medium, 1 high, 2 low (PS3.7 9.3.1.1).
    priority: int = 0


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

    def __init__(
        self,
        spool: Spool,
        register: InstanceRegister,
        classify: Callable[[str, str], InstanceKind],
        urgency_rules: UrgencyRules = UrgencyRules(),  # noqa: B008  # frozen
    ) -> None:
        self._spool = spool
        self._register = register
        self._classify = classify
        self._urgency_rules = urgency_rules

    def receive(self, arrival: Arrival, *, now: float) -> Recorded:
        """Keep and record one arrival; on return it survives a power cut.

        Raises CannotUnderstand, DatasetMismatch or OutOfResources (PS3.4 B.2.3); then nothing is recorded.
        """
        header = _read(arrival)
        address = _address_in(header, arrival)
        meta = file_meta_of(arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)
        kept = self._spool.keep(address, arrival.dataset, meta)
        urgency = urgency_of(_signs_in(header, arrival), self._urgency_rules)
        instance = self._instance(arrival, address, kept, urgency)
        try:
            receipt = self._register.record_instance(instance, calling_ae=arrival.calling_ae_title, now=now)
        except StoreError as error:
            raise OutOfResources(f"{address.sop_instance_uid} is on disk but cannot be recorded: {error}") from error
        if not kept.path.exists():  # its study was removed between the two: now that its row stands, this one stays
            kept = self._spool.keep(address, arrival.dataset, meta)
        if receipt is Receipt.CONFLICT:
            instance = replace(instance, path=self._set_aside(kept, address))
        return Recorded(instance, receipt)

    def _instance(self, arrival: Arrival, address: InstanceAddress, kept: Kept, urgency: Urgency) -> Instance:
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
            urgency=urgency,
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
    return _address_in(_read(arrival), arrival)


def _address_in(header: dict[BaseTag, RawDataElement], arrival: Arrival) -> InstanceAddress:
    try:
        uids = {tag: _uid_text(header[tag]) for tag in _IDENTIFYING_TAGS & header.keys()}
    except _PARSE_ERRORS as error:
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
    return address


def _signs_in(header: dict[BaseTag, RawDataElement], arrival: Arrival) -> Signs:
    return Signs(
        arrival.calling_ae_title,
        arrival.priority,
        modality=_code(header.get(_MODALITY)),
        requested_procedure_priority=_code(header.get(_REQUESTED_PROCEDURE_PRIORITY)),
    )


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
    except _PARSE_ERRORS as error:
        if _SERIES_INSTANCE_UID not in found:
            raise _not_a_data_set(arrival, error) from error
    return found


def _is_enough(tag: BaseTag, _vr: str | None, length: int) -> bool:
    """Behind the identifying elements nothing is read that must be parsed to be skipped."""
    is_long = tag > _SERIES_INSTANCE_UID and length == _UNDEFINED_LENGTH
    return is_long or tag > _REQUESTED_PROCEDURE_PRIORITY


def _not_a_data_set(arrival: Arrival, error: Exception) -> CannotUnderstand:
    return CannotUnderstand(f"not a data set in {UID(arrival.transfer_syntax_uid).name}: {type(error).__name__}")


def _code(element: RawDataElement | None) -> str:
    """A CS value without its padding; empty where there is none."""
    return "" if element is None else (element.value or b"").decode("ascii", "replace").strip("\0 ")


def _uid_text(element: RawDataElement) -> str:
    """A UI value without its padding (PS3.5 6.2); some senders pad with a space."""
    value = element.value or b""
    if len(value) != element.length:
        raise EOFError(f"the data set ends inside {keyword_for_tag(element.tag)}")
    return value.rstrip(b"\0 ").decode("ascii")


def _inflated(dataset: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _LONGEST_HEADER_BYTES)
