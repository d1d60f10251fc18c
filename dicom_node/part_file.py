"""A file that is being received: written piece by piece, hashed on the way, sealed when it is whole.

The seal is the digest of the data set, in the private information of the file meta information (PS3.10 7.1), where no
reader looks. A file with a true seal was received whole, whatever happened to the node since; any other never was.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dicom_node.domain.errors import OutOfResources
from dicom_node.durable_files import write_whole
from dicom_node.slots import Slot

#: What is read of it at a time.
_BLOCK_BYTES = 1 << 20
#: As many bytes are written before the disk is asked again whether there is room; asking halts all other threads.
_ASK_AGAIN_BYTES = 1 << 20
#: Bytes and sha256 of the data set, and Priority (0000,0700) of the request that brought it.
_SEAL = struct.Struct("<Q32sH")
#: What stands in a header for the seal that is to come; it must be the header's last bytes.
UNSEALED = bytes(_SEAL.size)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that was received whole. `digest` is the hex sha256 of its data set, `size_bytes` that of the file."""

    path: Path
    size_bytes: int
    digest: str
    #: Priority (0000,0700) of the request: 0 medium, 1 high, 2 low (PS3.7 9.3.1.1).
    priority: int


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
    """File meta information, which ends with UNSEALED, and as much of its data set as has come.

    `check_room` raises when so many bytes are too many; it is asked before the first one and about each megabyte. The
    methods raise OutOfResources when the disk says no.
    """

    def __init__(self, slot: Slot, header: bytes, check_room: Callable[[int], None]) -> None:
        self.path = slot.path
        self._header_bytes = len(header)
        self._check_room = check_room
        self._sha256 = hashlib.sha256()
        self._dataset_bytes = 0
        self._is_sealed = False
        self._ask_at = _ASK_AGAIN_BYTES
        self._file = io.FileIO(slot.descriptor, "r+")
        try:
            check_room(len(header))
            write_whole(self._file, header)
        except OSError as error:
            self.close()
            raise no_room(error) from error
        except OutOfResources:
            self.close()
            raise

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the data set."""
        try:
            if self._dataset_bytes + len(data) > self._ask_at:
                self._check_room(len(data))
                self._ask_at = self._dataset_bytes + _ASK_AGAIN_BYTES
            write_whole(self._file, data)
        except OSError as error:
            raise no_room(error) from error
        self._sha256.update(data)
        self._dataset_bytes += len(data)

    def seal(self, priority: int = 0) -> Sealed:
        """It is whole; on return it survives a power cut, and `close` lets it be: it is its sealer's now."""
        digest = self._sha256.digest()
        seal = _SEAL.pack(self._dataset_bytes, digest, priority & 0xFFFF)
        try:
            os.pwrite(self._file.fileno(), seal, self._header_bytes - len(seal))
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise no_room(error) from error
        self._is_sealed = True
        self._file.close()
        return Sealed(self.path, self._header_bytes + self._dataset_bytes, digest.hex(), priority)

    def dataset(self) -> Content:
        """The data set as far as it has come, to be read until this is closed."""
        return Content(self._file.fileno(), self._header_bytes)

    def close(self) -> None:
        """It goes, unless it was sealed; where the disk says no, at the next start."""
        self._file.close()
        if not self._is_sealed:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def sealed_at(path: Path, header_bytes: int) -> Sealed | None:
    """A file whose header ends there, if its seal is true. It reads the whole file; raises OSError."""
    sha256, found_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        seal = file.read(header_bytes)[-_SEAL.size :]
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            found_bytes += len(block)
    if len(seal) != _SEAL.size:
        return None
    size_bytes, digest, priority = _SEAL.unpack(seal)
    if (found_bytes, sha256.digest()) != (size_bytes, digest):
        return None
    return Sealed(path, header_bytes + size_bytes, digest.hex(), priority)


def no_room(error: OSError) -> OutOfResources:
    """What the disk says to something that comes in."""
    return OutOfResources(f"the spool cannot take what comes: {error.strerror or error}")
