"""Durable DICOM files: part file, fsync, name, fsync of the directory; knows nothing of network or database.

    <root>/incoming/<random>.part                being written; `sweep` removes leftovers
    <root>/spool/<study>/<series>/<sop>.dcm      received, as received
    <root>/conflicts/<study>/<sop>.<digest>.dcm  the same SOP Instance UID with other bytes, kept aside for a person
    <root>/results/<study>/<sop>.dcm             made by this node
    <root>/research/<study>/<sop>.dcm            de-identified copies that wait to be sent; <sop> is the copy's own

What is removed goes by whole studies: study_folders.py.

Every path is built from UIDs that were checked first: nothing a sender writes can leave the folder.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import shutil
import struct
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from dicom_node.domain.errors import CannotUnderstand, OutOfResources, StoreError
from dicom_node.durable_files import make_folder, named_if_free, sync_folder, usable, write_whole
from dicom_node.files import alone_in
from dicom_node.part_file import PartFile
from sr_writer.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_LOGGER = logging.getLogger(__name__)

#: PS3.5 9.1: digits and dots, at most 64.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_ONLY_DOTS = re.compile(r"\.+")
_PREAMBLE = b"\0" * 128 + b"DICM"
#: Where the group length of the file meta information stands in a file (PS3.10 7.1), and where its count begins.
_GROUP_LENGTH_AT = len(_PREAMBLE) + 8
_META_FROM = _GROUP_LENGTH_AT + 4

#: Elements in Explicit VR Little Endian: with a length of two bytes, and with one of four behind two that are reserved.
_SHORT, _OB = struct.Struct("<HH2sH"), struct.Struct("<HH2s2xL")
_META_GROUP, _META_VERSION = 0x0002, b"\0\1"

DEFAULT_MINIMUM_FREE_BYTES = 1 << 30
#: Of what must stay free of images this part must be left for studies to be analysed: results live on that room.
_FOR_RESULTS = 8
#: The folders that have one folder a study.
BY_STUDY = ("spool", "conflicts", "results", "research")


@dataclass(frozen=True, slots=True)
class InstanceAddress:
    """The UIDs under which an instance is filed."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A data set that is safely on disk. `digest` is the hex sha256 of its bytes without the file meta information."""

    path: Path
    size_bytes: int
    digest: str
    #: False when the same bytes, or other bytes under the same UIDs, were there before.
    new: bool


def checked_uid(uid: str, keyword: str) -> str:
    """`uid`, fit to be a file name. Raises CannotUnderstand otherwise."""
    if not _UID.fullmatch(uid) or _ONLY_DOTS.fullmatch(uid):
        problem = "is empty" if not uid else "is not a UID (digits and dots, at most 64 characters)"
        raise CannotUnderstand(f"{keyword} {problem}")
    return uid


def conflict_name(sop_instance_uid: str, digest: str) -> str:
    """What a file in conflicts/ is called."""
    return f"{sop_instance_uid}.{digest[:16]}.dcm"


class Spool:
    """The folder of received and produced instances. Safe for many threads and processes."""

    def __init__(self, root: Path, minimum_free_bytes: int = DEFAULT_MINIMUM_FREE_BYTES) -> None:
        self._incoming = root / "incoming"
        self._received, self._conflicts, self._results, self._copies = (root / name for name in BY_STUDY)
        self._minimum_free_bytes = minimum_free_bytes
        self._placing = threading.Lock()
        for folder in (self._incoming, self._received, self._conflicts, self._results, self._copies):
            with usable(folder):
                make_folder(folder)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def keep(self, address: InstanceAddress, dataset: bytes, meta: bytes) -> Kept:
        """Write a received data set as a whole; otherwise as `begin` and `place`."""
        checked_address(address)
        with self.begin(meta) as part:
            part.write(dataset)
            return self.place(part, address)

    def begin(self, meta: bytes) -> PartFile:
        """A file for a data set that is to come, behind `meta`, as file_meta_of makes it.

        It is gone when it is closed, unless it was placed. Raises OutOfResources when the disk says no.
        """
        return PartFile(self._incoming, meta, self._check_free)

    def place(self, part: PartFile, address: InstanceAddress) -> Kept:
        """File a data set that is whole, byte for byte as it came.

        The same data set again is kept once; another one under the same UIDs goes to conflicts/. On return the file
        survives a power cut. Raises CannotUnderstand for UIDs that are none, OutOfResources when the disk says no;
        neither leaves a file.
        """
        study, sop = checked_address(address)
        final = self._received / study / address.series_instance_uid / f"{sop}.dcm"
        digest = part.digest
        aside = self._conflicts / study / conflict_name(sop, digest)
        try:
            part.sync()
            path, new = self._place(part.path, final, aside, digest)
        except OSError as error:
            raise OutOfResources(f"the spool cannot keep {sop}: {error.strerror or error}") from error
        return Kept(path, part.size_bytes, digest, new)

    def set_aside(self, kept: Kept, address: InstanceAddress) -> Path:
        """Move an instance that contradicts one filed under another study or series to conflicts/.

        Raises OutOfResources when the disk says no.
        """
        aside = self._conflicts / address.study_instance_uid / conflict_name(address.sop_instance_uid, kept.digest)
        try:
            make_folder(aside.parent)
            kept.path.replace(aside)
            sync_folder(aside.parent)
            sync_folder(kept.path.parent)
        except OSError as error:
            raise OutOfResources(f"{kept.path.name} cannot be set aside: {error.strerror or error}") from error
        return aside

    def write_result(self, study_instance_uid: str, result: Dataset) -> Path:
        """Write an object this node made; a repeated run replaces it by its equal.

        Raises StoreError when the disk says no or a UID cannot name a file.
        """
        buffer = io.BytesIO()
        dcmwrite(buffer, result, enforce_file_format=True)
        return self._write_made(self._results, study_instance_uid, str(result.SOPInstanceUID), buffer.getbuffer())

    def write_copy(self, study_instance_uid: str, sop_instance_uid: str, content: bytes) -> Path:
        """Write a research copy of an object of the study, a whole file; the same again replaces it.

        Raises StoreError when the disk says no or a UID cannot name a file.
        """
        return self._write_made(self._copies, study_instance_uid, sop_instance_uid, content)

    def received(self) -> Iterator[Path]:
        """Every received instance that is not in conflict, in no special order."""
        return self._received.glob("*/*/*.dcm")

    def sweep(self) -> None:
        """Remove what an earlier run left unfinished. Only for the one process that receives into this folder."""
        for part in self._incoming.glob("*.part"):
            with usable(self._incoming):
                part.unlink(missing_ok=True)
            _LOGGER.info("Removed the unfinished file %s of an earlier run", part.name, extra={"action": "part_swept"})

    def _write_made(self, folder: Path, study_uid: str, sop_uid: str, content: bytes | memoryview) -> Path:
        try:
            study = checked_uid(study_uid, "Study Instance UID")
            final = folder / study / f"{checked_uid(sop_uid, 'SOP Instance UID')}.dcm"
            self._move(self._write_part(content), final)
        except (OSError, CannotUnderstand) as error:
            raise StoreError(f"{folder.name} of study {study_uid} cannot be written: {error}") from error
        return final

    def why_no_room(self) -> str | None:
        """Why no results should be made now, and what to do; None when there is room.

        They may take of what must stay free of images. Raises StoreError when the disk does not answer.
        """
        with usable(self._incoming):
            free = shutil.disk_usage(self._incoming).free
        least = self._minimum_free_bytes // _FOR_RESULTS
        return (
            None if free >= least else f"disk full: {free} bytes free, results need {least}; make room in the storage"
        )

    def _write_part(self, *chunks: bytes | memoryview) -> Path:
        part = self._incoming / f"{uuid.uuid4().hex}.part"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    write_whole(file, chunk)
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return part

    def _check_free(self, needed_bytes: int) -> None:
        free = shutil.disk_usage(self._incoming).free
        if free - needed_bytes < self._minimum_free_bytes:
            raise OutOfResources(
                f"disk nearly full: {free} bytes free, {self._minimum_free_bytes} must stay so; make room there"
            )

    def _place(self, part: Path, final: Path, aside: Path, digest: str) -> tuple[Path, bool]:
        try:
            new = named_if_free(part, final)
        except FileNotFoundError:
            make_folder(final.parent)
            new = named_if_free(part, final)
        path = final
        if not new:
            path, new = self._place_beside(part, final, aside, digest)
        sync_folder(path.parent)
        return path, new

    def _place_beside(self, part: Path, final: Path, aside: Path, digest: str) -> tuple[Path, bool]:
        with self._placing, alone_in(self._incoming):
            new = not final.exists()
            path = final if new or _digest_of(final) == digest else aside
            make_folder(path.parent)
            part.replace(path)
        return path, new

    def _move(self, part: Path, final: Path) -> None:
        try:
            make_folder(final.parent)
            part.replace(final)
            sync_folder(final.parent)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def checked_address(address: InstanceAddress) -> tuple[str, str]:
    """Study and SOP Instance UID of `address`, all three checked. Raises CannotUnderstand."""
    checked_uid(address.series_instance_uid, "Series Instance UID")
    study = checked_uid(address.study_instance_uid, "Study Instance UID")
    return study, checked_uid(address.sop_instance_uid, "SOP Instance UID")


def file_meta_of(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """All that stands before a received data set in its file (PS3.10 7.1); this node writes it and says so in it."""
    uids = ((0x0002, sop_class_uid), (0x0003, sop_instance_uid), (0x0010, transfer_syntax_uid))
    elements = [_OB.pack(_META_GROUP, 0x0001, b"OB", len(_META_VERSION)) + _META_VERSION]
    elements += [_text_element(number, b"UI", uid, b"\0") for number, uid in uids]
    elements += [
        _text_element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
        _text_element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
    ]
    content = b"".join(elements)
    return _PREAMBLE + _SHORT.pack(_META_GROUP, 0x0000, b"UL", 4) + struct.pack("<L", len(content)) + content


def _text_element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    value += padding * (len(value) % 2)
    return _SHORT.pack(_META_GROUP, number, vr, len(value)) + value


def dataset_of(path: Path) -> bytes:
    """The data set in a file this spool wrote, as it came."""
    with path.open("rb") as file:
        _skip_meta(file)
        return file.read()


def _digest_of(path: Path) -> str:
    """The hex sha256 of the data set in a file this spool wrote."""
    with path.open("rb") as file:
        _skip_meta(file)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _skip_meta(file: BinaryIO) -> None:
    file.seek(_GROUP_LENGTH_AT)
    file.seek(_META_FROM + int.from_bytes(file.read(4), "little"))
