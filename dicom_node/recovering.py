"""What an earlier run left in incoming/: objects that it accepted and did not record, and pieces that it never will."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.filereader import read_file_meta_info

from dicom_node.domain.errors import ReadError, ReceiveError
from dicom_node.file_meta import header_bytes_of
from dicom_node.part_file import Content, Sealed, sealed_at
from dicom_node.receiving import Accepted, Receiver
from dicom_node.spool import Spool
from dicom_node.unreadable import explained

_LOGGER = logging.getLogger(__name__)


class Register(Protocol):
    """Where instances are recorded; the store."""

    def digest(self, sop_instance_uid: str) -> str | None:
        """Of the instance that is recorded under the UID; None when none is."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What the request said, as the file has it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    priority: int


def recover(spool: Spool, receiver: Receiver, register: Register, *, now: float) -> int:
    """Record what was accepted, remove what was not whole; how many were recorded.

    When an object came is the time of its file, unless that is later than `now`. Only for the one process that receives
    into this folder. Raises StoreError; what cannot be recorded for another reason stays, and the log says why.
    """
    recorded = 0
    for path in sorted(spool.unfinished(), key=lambda path: path.stat().st_mtime):
        try:
            recorded += _recovered(path, spool, receiver, register, now)
        except (ReadError, ReceiveError) as error:
            _LOGGER.error("%s stays unrecorded: %s", path, error, extra={"action": "part_unrecorded"})  # noqa: TRY400
    if recorded:
        told = "Recorded %d objects that an earlier run had accepted"
        _LOGGER.info(told, recorded, extra={"action": "parts_recorded"})
    return recorded


def _recovered(path: Path, spool: Spool, receiver: Receiver, register: Register, now: float) -> bool:
    with explained("cannot be read"):
        header_bytes = header_bytes_of(path)
        sealed = sealed_at(path, header_bytes)
    if sealed is None:
        if path.stat().st_size:
            _LOGGER.info("Removed the unfinished file %s of an earlier run", path.name, extra={"action": "part_swept"})
        path.unlink()
        return False
    accepted = _accepted(sealed, header_bytes, receiver, now)
    is_new = register.digest(accepted.request.sop_instance_uid) != sealed.digest
    if is_new:
        receiver.record([accepted])
    spool.let_go(sealed)
    return is_new


def _accepted(sealed: Sealed, header_bytes: int, receiver: Receiver, now: float) -> Accepted:
    with explained("is not a file of the spool"):
        meta = read_file_meta_info(sealed.path)
        request = _Request(
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            str(meta.get("SendingApplicationEntityTitle", "")),
            sealed.priority,
        )
        received_at = min(now, sealed.path.stat().st_mtime)
    descriptor = os.open(sealed.path, os.O_RDONLY)
    try:
        return receiver.accepted_before(sealed, Content(descriptor, header_bytes), request, at=received_at)
    finally:
        os.close(descriptor)
