"""A file that is being received: written piece by piece, hashed on the way, and gone unless it gets a name in time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from dicom_node.domain.errors import OutOfResources
from dicom_node.durable_files import write_whole

#: What is read of it at a time.
_BLOCK_BYTES = 1 << 16
#: As many bytes are written before the disk is asked again whether there is room; asking halts all other threads.
_ASK_AGAIN_BYTES = 1 << 20


class Content:
    """An open file from some byte on; it is written elsewhere as if nobody read it."""

    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._at = start

    def read(self, most_bytes: int) -> bytes:
        """The next bytes, fewer only where the file ends. Raises OSError."""
        block = os.pread(self._descriptor, most_bytes, self._at)
        self._at += len(block)
        return block


class PartFile:
    """A file meta information and as much of its data set as has come; `check_room` raises when so much is too much.

    It is asked before the first byte and about each megabyte. The methods raise OutOfResources when the disk says no.
    """

    def __init__(self, folder: Path, header: bytes, check_room: Callable[[int], None]) -> None:
        self.path = folder / f"{uuid.uuid4().hex}.part"
        self._folder = folder
        self._header = header
        self._check_room = check_room
        self._sha256 = hashlib.sha256()
        self._dataset_bytes = 0
        self._ask_at = _ASK_AGAIN_BYTES
        try:
            check_room(len(header))
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _no_room(error) from error
        self._file = io.FileIO(descriptor, "r+")
        try:
            write_whole(self._file, header)
        except OSError as error:
            self.close()
            raise _no_room(error) from error

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return len(self._header) + self._dataset_bytes

    @property
    def digest(self) -> str:
        """The hex sha256 of the data set."""
        return self._sha256.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the data set."""
        try:
            if self._dataset_bytes + len(data) > self._ask_at:
                self._check_room(len(data))
                self._ask_at = self._dataset_bytes + _ASK_AGAIN_BYTES
            write_whole(self._file, data)
        except OSError as error:
            raise _no_room(error) from error
        self._sha256.update(data)
        self._dataset_bytes += len(data)

    def sync(self) -> None:
        """Have its content survive a power cut; its name is another matter. Raises OSError."""
        os.fsync(self._file.fileno())

    def dataset(self) -> Content:
        """The data set as far as it has come, to be read until this is closed."""
        return Content(self._file.fileno(), len(self._header))

    def copied(self) -> PartFile:
        """The same once more, for when the file was removed under its name."""
        copy = PartFile(self._folder, self._header, self._check_room)
        try:
            content = self.dataset()
            while block := content.read(_BLOCK_BYTES):
                copy.write(block)
        except OSError as error:
            copy.close()
            raise _no_room(error) from error
        except OutOfResources:
            copy.close()
            raise
        return copy

    def close(self) -> None:
        """It goes, unless it has got another name; where the disk says no, at the next start."""
        self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _no_room(error: OSError) -> OutOfResources:
    return OutOfResources(f"the spool cannot take what comes: {error.strerror or error}")
