"""Durable DICOM files; knows nothing of network or database.

    <root>/incoming/<random>.part                being received, or sealed and not recorded yet, or empty (slots.py)
    <root>/spool/<study>/<series>/<sop>.dcm      received, as received
    <root>/conflicts/<study>/<sop>.<digest>.dcm  the same SOP Instance UID with other bytes, kept aside for a person
    <root>/results/<study>/<sop>.dcm             made by this node
    <root>/research/<study>/<sop>.dcm            de-identified copies that wait to be sent; <sop> is the copy's own

What is removed goes by whole studies: study_folders.py.

Every path is built from UIDs that were checked first: nothing a sender writes can leave the folder.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from dicom_node.domain.errors import CannotUnderstand, OutOfResources, StoreError
from dicom_node.durable_files import make_folder, sync_folder, usable, write_whole
from dicom_node.file_meta import digest_of
from dicom_node.files import alone_in
from dicom_node.part_file import PartFile, Sealed, no_room
from dicom_node.slots import Slots

_LOGGER = logging.getLogger(__name__)

#: PS3.5 9.1: digits and dots, at most 64.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_ONLY_DOTS = re.compile(r"\.+")
DEFAULT_MINIMUM_FREE_BYTES = 1 << 30
#: Of what must stay free of images this part must be left for studies to be analysed: results live on that room.
_FOR_RESULTS = 8
#: What is copied at a time where a file system gives no file two names.
_BLOCK_BYTES = 1 << 20
#: What a file system says that gives no file two names.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
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
    """A data set in its place. `digest` is the hex sha256 of its bytes without the file meta information."""

    path: Path
    size_bytes: int
    digest: str
    #: False when the same bytes were there before.
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
        self._slots = Slots(self._incoming)
        for folder in (self._incoming, self._received, self._conflicts, self._results, self._copies):
            with usable(folder):
                make_folder(folder)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def keep(self, address: InstanceAddress, dataset: bytes, meta: bytes) -> Kept:
        """Write a received data set as a whole, and file it durably; otherwise as `begin` and `place`."""
        checked_address(address)
        with self.begin(meta) as part:
            part.write(dataset)
            sealed = part.seal()
        try:
            kept = self.place(sealed, address)
            self.sync([kept])
        finally:
            self.let_go(sealed)
        return kept

    def begin(self, meta: bytes) -> PartFile:
        """A file for a data set that is to come, behind `meta`, as file_meta_of makes it.

        It is gone when it is closed, unless it was sealed. Raises OutOfResources when the disk says no.
        """
        try:
            slot = self._slots.take()
        except OSError as error:
            raise no_room(error) from error
        return PartFile(slot, meta, self._check_free)

    def place(self, sealed: Sealed, address: InstanceAddress) -> Kept:
        """File a data set that is whole, byte for byte as it came; `sync` makes that durable, and `let_go` ends it.

        The same data set again is kept once; another one under the same UIDs goes to conflicts/. Done again it finds
        what it did before. Raises CannotUnderstand for UIDs that are none, OutOfResources when the disk says no.
        """
        study, sop = checked_address(address)
        final = _folder_of(self._received, study, address.series_instance_uid) / f"{sop}.dcm"
        try:
            if self._named_if_free(sealed, final):
                return Kept(final, sealed.size_bytes, sealed.digest, new=True)
            path, new = self._place_beside(sealed, final, self._conflicts / study / conflict_name(sop, sealed.digest))
        except OSError as error:
            raise OutOfResources(f"the spool cannot keep {sop}: {error.strerror or error}") from error
        return Kept(path, sealed.size_bytes, sealed.digest, new)

    def sync(self, kept: Iterable[Kept]) -> None:
        """Have what was placed stay there in a power cut; for many at once, it costs as much as for one.

        Raises OutOfResources when the disk says no.
        """
        try:
            for folder in {each.path.parent for each in kept}:
                sync_folder(folder)
        except FileNotFoundError:  # its study was removed meanwhile; whoever recorded it looks whether it is there
            return
        except OSError as error:
            raise OutOfResources(f"the spool cannot keep what came: {error.strerror or error}") from error

    def let_go(self, sealed: Sealed) -> None:
        """What was placed and recorded, or refused, is no longer among what comes in."""
        with suppress(OSError):
            sealed.path.unlink(missing_ok=True)

    def make_ready(self) -> None:
        """Make objects that are to come cheaper to begin, until `close`. Raises OSError."""
        self._slots.refill()

    def close(self) -> None:
        """Nothing is to come."""
        self._slots.close()

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

    def unfinished(self) -> list[Path]:
        """What an earlier run left in incoming/. Only for the one process that receives into this folder."""
        return sorted(self._incoming.glob("*.part"))

    def sweep(self) -> None:
        """Remove what an earlier run left unfinished; as `unfinished`."""
        for part in self.unfinished():
            with usable(self._incoming):
                part.unlink(missing_ok=True)

    def _write_made(self, folder: Path, study_uid: str, sop_uid: str, content: bytes | memoryview) -> Path:
        try:
            study = checked_uid(study_uid, "Study Instance UID")
            final = folder / study / f"{checked_uid(sop_uid, 'SOP Instance UID')}.dcm"
            self._move(self._write_part([content]), final)
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

    def _write_part(self, chunks: Iterable[bytes | memoryview]) -> Path:
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

    def _place_beside(self, sealed: Sealed, final: Path, aside: Path) -> tuple[Path, bool]:
        if digest_of(final) == sealed.digest:
            return final, False
        new = self._named_if_free(sealed, aside)
        if not new and digest_of(aside) != sealed.digest:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        return aside, new

    def _named_if_free(self, sealed: Sealed, name: Path) -> bool:
        """Give the file one more name, unless something has it: nobody else can come between. Raises OSError."""
        try:
            os.link(sealed.path, name)
        except FileExistsError:
            return False
        except FileNotFoundError:
            if name.parent.is_dir():
                raise
            make_folder(name.parent)
            return self._named_if_free(sealed, name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._copied_if_free(sealed.path, name)
        return True

    def _copied_if_free(self, part: Path, name: Path) -> bool:
        with self._placing, alone_in(self._incoming), part.open("rb") as file:
            if name.exists():
                return False
            # block by block: an object may be larger than memory
            self._move(self._write_part(iter(partial(file.read, _BLOCK_BYTES), b"")), name)
        return True

    def _move(self, part: Path, final: Path) -> None:
        try:
            make_folder(final.parent)
            part.replace(final)
            sync_folder(final.parent)
        except OSError:
            part.unlink(missing_ok=True)
            raise


@lru_cache(maxsize=256)
def _folder_of(received: Path, study: str, series: str) -> Path:
    return received / study / series


def checked_address(address: InstanceAddress) -> tuple[str, str]:
    """Study and SOP Instance UID of `address`, all three checked. Raises CannotUnderstand."""
    checked_uid(address.series_instance_uid, "Series Instance UID")
    study = checked_uid(address.study_instance_uid, "Study Instance UID")
    return study, checked_uid(address.sop_instance_uid, "SOP Instance UID")
