"""Notices that the clock was set: it compares the time of day with the time that has passed, and tells by how much.

A thread of its own, since what waits for the time of day would wait for an hour when the clock is set back by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.errors import StoreError

_LOGGER = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
#: Corrections below it, as of a clock that is kept by NTP, make no difference to anything here.
LEAST_JUMP_S = 2.0
#: After the clock was found so much ahead nothing is removed for its age for so long: a person may set it right.
_DOUBTFUL_JUMP_S = 3600.0
_DOUBT_FOR_S = 86400.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The time of day, and a clock nobody can set, at one moment; seconds."""

    wall_s: float
    steady_s: float


def jump_between(before: Reading, now: Reading) -> float:
    """By how much the time of day was set, in seconds, forward above 0; 0.0 for corrections that do not matter."""
    jump = (now.wall_s - before.wall_s) - (now.steady_s - before.steady_s)
    return jump if abs(jump) >= LEAST_JUMP_S else 0.0


class TimedStore(Protocol):
    """Where times are recorded."""

    def follow_clock(self, *, by: float, now: float) -> None:
        """Have what waits for a time go by the clock as it is now."""

    def latest_at(self) -> float | None:
        """When anything happened last."""


class ClockWatch:
    """Looks at the clocks between `start` and `stop`, and after a jump has store and schedule follow."""

    def __init__(
        self,
        store: TimedStore,
        wall: Callable[[], float],
        on_jump: Callable[[], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wall = wall
        self._steady = steady
        self._on_jump = on_jump
        self._last = self._read()
        self._doubted_at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock watch", daemon=True)

    def start(self) -> None:
        """Compare with what was recorded before, which the clock may have been set back behind, and begin to look."""
        latest, now = self._store.latest_at(), self._wall()
        if latest is not None:
            self._doubt(now - latest, _DOUBT_FOR_S)
        self._follow(0.0, now)
        self._last = self._read()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Once: was the clock set since the last look?"""
        before, self._last = self._last, self._read()
        by = jump_between(before, self._last)
        if not by:
            return
        _LOGGER.warning(
            "The clock was set %s by %.0f s; waits and leases follow it",
            "forward" if by > 0 else "back",
            abs(by),
            extra={"action": "clock_jumped"},
        )
        self._doubt(by, _DOUBTFUL_JUMP_S)
        self._follow(by, self._last.wall_s)
        self._on_jump()

    def is_trusted(self) -> bool:
        """Whether the time of day may be believed where a mistake would remove studies."""
        return self._doubted_at is None or self._steady() - self._doubted_at >= _DOUBT_FOR_S

    def _doubt(self, ahead_s: float, too_far_s: float) -> None:
        if ahead_s > too_far_s:
            self._doubted_at = self._steady()
            _LOGGER.warning(
                "The clock is %.1f hours ahead of what was last recorded; no study is removed for its age for a day",
                ahead_s / 3600,
                extra={"action": "clock_doubted"},
            )

    def _follow(self, by: float, now: float) -> None:
        try:
            self._store.follow_clock(by=by, now=now)
        except StoreError as error:
            _LOGGER.error(  # noqa: TRY400  # its own error, which says all
                "Recorded times do not follow the clock: %s", error, extra={"action": "clock_not_followed"}
            )

    def _read(self) -> Reading:
        return Reading(self._wall(), self._steady())

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            self.look()
