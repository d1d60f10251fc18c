"""Empty files in the folder of what is being received, whose names are on disk already.

An object that is written to one of them is safe with one flush, that of its own content: its name costs none.
"""

from __future__ import annotations

import os
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dicom_node.durable_files import sync_folder

#: As many are kept ready; a sender's next object takes less time than making one.
_READY = 16


@dataclass(frozen=True, slots=True)
class Slot:
    """One of them, open for reading and writing; it is its taker's."""

    path: Path
    descriptor: int


class Slots:
    """Slots in `folder`. Safe for many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._ready: list[Slot] = []

    def take(self) -> Slot:
        """One that is ready, or a new one. Raises OSError."""
        with self._lock:
            if self._ready:
                return self._ready.pop()
        [slot] = self._made(1)
        return slot

    def refill(self) -> None:
        """Have some ready; all of them for one flush of the folder. Raises OSError."""
        with self._lock:
            missing = _READY - len(self._ready)
        if missing < _READY // 2:
            return
        made = self._made(missing)
        with self._lock:
            self._ready += made

    def close(self) -> None:
        """None is ready any more, and none is left in the folder."""
        with self._lock:
            ready, self._ready = self._ready, []
        _give_back(ready)

    def _made(self, number: int) -> list[Slot]:
        made: list[Slot] = []
        try:
            for _ in range(number):
                path = self._folder / f"{uuid.uuid4().hex}.part"
                made.append(Slot(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)))
            sync_folder(self._folder)
        except OSError:
            _give_back(made)
            raise
        return made


def _give_back(slots: list[Slot]) -> None:
    for slot in slots:
        os.close(slot.descriptor)
        with suppress(OSError):
            slot.path.unlink(missing_ok=True)
