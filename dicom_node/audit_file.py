"""The audit trail as a file of lines: appended durably by any number of processes, and rotated by size.

The file is opened anew for each append, so that whoever renames it, an administrator's logrotate too, need tell nobody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dicom_node.durable_files import make_folder, sync_folder


class AuditFile:
    """Lines in `path`; once it has `maximum_bytes` it becomes `path.1`, and so on up to `path.<keep>`."""

    def __init__(self, path: Path, maximum_bytes: int, keep: int) -> None:
        self.path = path
        self._maximum_bytes = maximum_bytes
        self._keep = keep

    def append(self, lines: Sequence[str]) -> None:
        """Write all of the lines; they survive a power cut then. Raises OSError, and then none is there."""
        with self._open_alone() as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                _write_whole(descriptor, "".join(f"{line}\n" for line in lines).encode(), size)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
            if not size:
                sync_folder(self.path.parent)
            if os.fstat(descriptor).st_size >= self._maximum_bytes:
                self._rotate()

    @contextmanager
    def _open_alone(self) -> Iterator[int]:
        """The file under its name, locked: whoever waited for the lock may hold one that was renamed meanwhile."""
        make_folder(self.path.parent)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_there(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _is_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{number + 1}") for number in range(self._keep))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        sync_folder(self.path.parent)


def _write_whole(descriptor: int, content: bytes, size: int) -> None:
    """A kill may have left half a line behind; what follows begins a new one."""
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        content = b"\n" + content
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
