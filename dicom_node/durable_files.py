"""Files and folders that survive a power cut, and what the disk says to that."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.domain.errors import StoreError


def write_durably(path: Path, content: bytes) -> None:
    """Write a whole file and its missing folders, for the owner alone, as one step that survives a power cut.

    Raises OSError, and then there is no such file, or still the earlier one.
    """
    make_folder(path.parent)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
            write_whole(file, content)
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(file: io.FileIO, chunk: bytes | memoryview) -> None:
    """Write all of `chunk`: one write(2) may take less than it was given."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """What the disk says to the block, as StoreError with the remedy."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used: {error.strerror or error}; let the node's user write there, and see that its "
            "disk is there and not mounted read-only"
        ) from error


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each entered durably in the folder above."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have what was entered in `folder` or taken out of it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
