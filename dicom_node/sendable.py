"""Files to be sent, whichever way: what their meta information says, and what keeps one from being sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

from dicom_node.domain.errors import ObjectRejected
from dicom_node.faults import type_and_place
from dicom_node.plain_elements import NotPlain, plain_meta

#: SOP class, SOP instance and transfer syntax.
_UIDS = (0x0002_0002, 0x0002_0003, 0x0002_0010)
_HEAD_BYTES = 1 << 12


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file as its meta information describes it. It is at its data set, which has `size` bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    file: BufferedReader
    size: int


@contextmanager
def opened(path: Path) -> Iterator[StoredObject]:
    """The file at `path`, open in the block. Raises ObjectRejected when it is gone or no DICOM file (PS3.10)."""
    with meta_of_file(path):
        file = path.open("rb")
    with file:
        with meta_of_file(path):
            stored = _described(file)
        yield stored


def _described(file: BufferedReader) -> StoredObject:
    return _described_plainly(file) or _described_by_pydicom(file)


def _described_plainly(file: BufferedReader) -> StoredObject | None:
    """In a tenth of the time; None, and the file at its beginning, when it is to be read with more care."""
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    try:
        found, begin = plain_meta(head, _UIDS)
    except NotPlain:
        return None
    size = os.fstat(file.fileno()).st_size - begin
    if found.keys() != set(_UIDS) or begin > len(head) or size <= 0:
        return None
    places = (found[tag] for tag in _UIDS)
    sop_class, sop_instance, syntax = (_text(head[at : at + length]) for _, at, length in places)
    file.seek(begin)
    return StoredObject(sop_class, sop_instance, syntax, file, size)


def _described_by_pydicom(file: BufferedReader) -> StoredObject:
    read_preamble(file, force=False)
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_past_meta)
    sop_class, sop_instance, syntax = (_uid(meta, tag) for tag in _UIDS)
    size = os.fstat(file.fileno()).st_size - file.tell()
    if size <= 0:
        raise InvalidDicomError("no data set")
    return StoredObject(sop_class, sop_instance, syntax, file, size)


def _is_past_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


def _uid(meta: Dataset, tag: int) -> str:
    """As it is written: to have pydicom make a UID of it takes longer than to read the file."""
    raw = meta.get_item(tag)
    if raw is None or not isinstance(raw.value, bytes):
        raise InvalidDicomError(f"no value under {tag:08X}")
    return _text(raw.value)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").rstrip("\0 ")


@contextmanager
def meta_of_file(path: Path) -> Iterator[None]:
    """What reading the file meta information (PS3.10) at `path` in the block runs into, as ObjectRejected."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectRejected(f"{path} is gone; it cannot be sent") from error
    except (OSError, InvalidDicomError, AttributeError) as error:
        raise ObjectRejected(f"{path} is no DICOM file with file meta information: {_safe(error)}") from error


def _safe(error: Exception) -> str:
    """The system's own words; those of pydicom may quote the file."""
    return error.strerror or type_and_place(error) if isinstance(error, OSError) else type_and_place(error)
