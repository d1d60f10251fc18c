"""The database, made anew or made whole from the files in spool/: the files are the truth for images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.filereader import read_file_meta_info

from dicom_node.domain.errors import ReadError, ReceiveError
from dicom_node.domain.study import Instance
from dicom_node.file_meta import dataset_of
from dicom_node.identification import Arrival, Classify, identity_of
from dicom_node.store import Receipt
from dicom_node.unreadable import explained

_LOGGER = logging.getLogger(__name__)

#: Not every file says who sent it.
_UNKNOWN_CALLER = ""


class Register(Protocol):
    """Where instances are recorded; the store."""

    def digest(self, sop_instance_uid: str) -> str | None:
        """Of the instance that is recorded under the UID; None when none is."""

    def record_instance(self, instance: Instance, *, calling_ae: str, now: float) -> Receipt:
        """Record durably; raises StoreError."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was in the spool. `unreadable` is neither recorded nor removed."""

    recorded: int
    known: int
    unreadable: tuple[Path, ...]


def record_spool(files: Iterator[Path], register: Register, classify: Classify, tell: Callable[[str], None]) -> Found:
    """Record what is on disk and not in the database, in the order in which it arrived.

    An image opens its study's job, as if it came now; when it came is the time of its file. Raises StoreError.
    """
    recorded, known, unreadable = 0, 0, []
    for path in sorted(files, key=lambda path: path.stat().st_mtime):
        if register.digest(path.stem) is not None:
            known += 1
            continue
        try:
            instance = read_instance(path, classify)
        except (ReadError, ReceiveError) as error:
            unreadable.append(path)
            _LOGGER.warning("%s stays unrecorded: %s", path, error, extra={"action": "rebuild_passed_over"})
            continue
        register.record_instance(instance, calling_ae=_UNKNOWN_CALLER, now=path.stat().st_mtime)
        recorded += 1
        tell(f"{recorded} recorded")
    return Found(recorded, known, tuple(unreadable))


def read_instance(path: Path, classify: Classify) -> Instance:
    """A file of the spool as it is recorded. Raises ReadError or CannotUnderstand for one that is damaged."""
    with explained("is not a file of the spool"):
        meta = read_file_meta_info(path)
        sop_class_uid, sop_instance_uid = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
        transfer_syntax_uid = str(meta.TransferSyntaxUID)
        dataset = dataset_of(path)
    arrival = Arrival(dataset, sop_class_uid, sop_instance_uid, transfer_syntax_uid, _UNKNOWN_CALLER)
    identity = identity_of(arrival)
    address = identity.address
    if (address.study_instance_uid, f"{address.sop_instance_uid}.dcm") != (path.parents[1].name, path.name):
        raise ReadError("lies in the folder of another study, or under another name")
    return Instance(
        sop_instance_uid=address.sop_instance_uid,
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        series_instance_uid=address.series_instance_uid,
        study_instance_uid=address.study_instance_uid,
        kind=classify(sop_class_uid, sop_instance_uid, identity.maker),
        path=path,
        size_bytes=path.stat().st_size,
        digest=hashlib.sha256(dataset).hexdigest(),
    )
