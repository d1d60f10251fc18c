"""The front of the queue of idle workers: one at a time looks for jobs and works ahead, the others wait behind it.

So what was found out ahead of a study is with the worker that takes it, nothing is found out twice at once, and a study
alone has all cores. Whoever takes a job steps aside, and the next one is at the front in that moment.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dicom_node.domain.errors import StoreError

_FILE = "front.lock"


class Front:
    """One worker's way there. A lock on a file, which the system lets go of when the worker is killed."""

    def __init__(self, storage: Path) -> None:
        """Raises StoreError where the storage folder takes no file."""
        try:
            self._descriptor = os.open(storage / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{storage} cannot be used: {error.strerror}") from error

    def step_up(self) -> None:
        """Wait until nobody else is there; at once where this worker is there already."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def step_aside(self) -> None:
        """Let the next one come."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Step aside, and come no more."""
        os.close(self._descriptor)
