"""The data sets of storage commitment (PS3.4 Tables J.3-1 and J.3-2): records to data sets, and back."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from dicom_node.domain.commitment import CommitmentReport, CommitmentRequest, Reference

#: PS3.4 J.3.5: the SOP class, and the one instance of it that everybody asks.
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
#: Action Type ID "Request Storage Commitment" (PS3.4 J.3.2).
REQUEST_COMMITMENT = 1
#: Event Type IDs "Storage Commitment Request Successful" and "... Complete - Failures Exist" (PS3.4 J.3.3).
ALL_KEPT = 1
FAILURES_EXIST = 2
#: What pydicom raises where bytes are no data set; it reads an element only when it is asked for.
UNREADABLE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError, RecursionError, EOFError,
    OSError, struct.error,
)  # fmt: skip
#: PS3.5 9.1 without its finer points: a peer that writes a leading zero is understood.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


class MalformedMessage(Exception):
    """A data set without an attribute that it must have, or with a value that is none; the message names it."""


def request_dataset(request: CommitmentRequest) -> Dataset:
    """The Action Information."""
    dataset = Dataset()
    dataset.TransactionUID = request.transaction_uid
    dataset.ReferencedSOPSequence = [_item(reference) for reference in request.references]
    return dataset


def request_of(dataset: Dataset) -> CommitmentRequest:
    """The request in an Action Information. Raises MalformedMessage."""
    references = tuple(map(_reference, _items(dataset, "ReferencedSOPSequence")))
    if not references:
        raise MalformedMessage("no item in Referenced SOP Sequence")
    return CommitmentRequest(_uid(dataset, "TransactionUID"), references)


def report_dataset(report: CommitmentReport) -> Dataset:
    """The Event Information; a sequence without items is left out (type 1C)."""
    dataset = Dataset()
    dataset.TransactionUID = report.transaction_uid
    if report.kept:
        dataset.ReferencedSOPSequence = [_item(reference) for reference in report.kept]
    if report.failed:
        dataset.FailedSOPSequence = [_item(reference, reason) for reference, reason in report.failed]
    return dataset


def report_of(dataset: Dataset) -> CommitmentReport:
    """The report in an Event Information. Raises MalformedMessage."""
    return CommitmentReport(
        _uid(dataset, "TransactionUID"),
        tuple(map(_reference, _items(dataset, "ReferencedSOPSequence"))),
        tuple((_reference(item), _reason(item)) for item in _items(dataset, "FailedSOPSequence")),
    )


def event_type(report: CommitmentReport) -> int:
    """The Event Type ID that goes with a report."""
    return FAILURES_EXIST if report.failed else ALL_KEPT


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _items(dataset: Dataset, keyword: str) -> Iterable[Dataset]:
    found = dataset.get(keyword)
    if found is not None and not isinstance(found, Sequence):
        raise MalformedMessage(f"{keyword} is no sequence")
    return found or ()


def _reference(item: Dataset) -> Reference:
    return Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))


def _reason(item: Dataset) -> int:
    """A failure without its reason is one all the same (processing failure)."""
    found = item.get("FailureReason")
    return found if isinstance(found, int) else 0x0110


def _uid(dataset: Dataset, keyword: str) -> str:
    found = dataset.get(keyword)
    if not isinstance(found, UID) or not _UID.fullmatch(found):
        raise MalformedMessage(f"no valid {keyword}")
    return str(found)
