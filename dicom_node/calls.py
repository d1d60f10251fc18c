"""Calls on their way into the database: gathered in memory and written together, so that no caller waits for a disk.

However many call, few are held: a flood of strangers costs one small transaction at each turn of the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dicom_node.domain.calls import Call

#: Different calls held between two turns; later ones are in the log only.
_MOST_HELD = 250


class CallRegister(Protocol):
    """Where calls are kept; the store."""

    def record_calls(self, calls: Sequence[Call]) -> None:
        """Add them to what is known, durably; raises StoreError."""


class CallBook:
    """Notes calls from any thread until `flush` takes them away."""

    def __init__(self, register: CallRegister) -> None:
        self._register = register
        self._lock = threading.Lock()
        self._held: dict[tuple[str, ...], Call] = {}

    def note(self, call: Call) -> None:
        """Hold one call; those alike become one, with the latest reason."""
        with self._lock:
            known = self._held.get(call.key)
            if known is not None:
                call = replace(call, first_at=known.first_at, count=known.count + call.count)
            elif len(self._held) >= _MOST_HELD:
                return
            self._held[call.key] = call

    def flush(self) -> None:
        """Write what is held. Raises StoreError; what could not be written is given up, as the log has it."""
        with self._lock:
            held, self._held = self._held, {}
        if held:
            self._register.record_calls(tuple(held.values()))
