"""Folders of this machine: the files below one, and having one to oneself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def files_under(path: Path) -> list[Path]:
    """The file itself, or every file in and below the folder, in the order of their names."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process at a time, of those that ask so; a process that ends lets go."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
