"""Removes studies that are done with when they are old, or when all of them take too much room; the oldest first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.status import LeftAlone
from dicom_node.domain.study import ConflictingObject

_LOGGER = logging.getLogger(__name__)

_DAY_S = 86400.0


class ExpiringStore(Protocol):
    """Where studies are recorded, and removed."""

    def left_alone(self, *, proving: Collection[str]) -> tuple[LeftAlone, ...]:
        """The studies that may go, the one left alone for longest first."""

    def expire(
        self,
        study_instance_uid: str,
        *,
        why: str,
        discard: Callable[[str, Sequence[ConflictingObject]], None],
        now: float,
        proving: Collection[str],
    ) -> bool:
        """Remove one; False when it may not go any more."""


class Folders(Protocol):
    """The studies' files."""

    def discard(self, study_instance_uid: str, conflicts: Sequence[ConflictingObject]) -> None:
        """Take a study's files out of their places."""

    def sweep(self) -> None:
        """Delete what was taken out of its place."""

    def bytes_of(self, study_instance_uid: str) -> int:
        """What one study takes."""

    def bytes_in_all(self) -> int:
        """What all take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much; None: without limit."""

    days: float | None
    bytes_in_all: int | None
    #: Peers that must have proved that they keep a study's results before it may go.
    proving: frozenset[str] = frozenset()


class Retention:
    """Keeps the studies within their limits. While the clock is not trusted none is old."""

    def __init__(
        self,
        store: ExpiringStore,
        folders: Folders,
        limits: Limits,
        clock: Callable[[], float],
        is_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._folders = folders
        self._limits = limits
        self._clock = clock
        self._is_trusted = is_trusted

    def keep_within_limits(self) -> int:
        """Remove what is too old, then the oldest until the rest fits; how many studies went.

        A study that is under way, held, failed, or has a delivery that is on its way, unproven or dead stays, however
        old.
        """
        removed = self._remove_old() + self._remove_until_it_fits()
        self._folders.sweep()
        return removed

    def _remove_old(self) -> int:
        days = self._limits.days
        if days is None or not self._is_trusted():
            return 0
        before = self._clock() - days * _DAY_S
        old = [study for study in self._store.left_alone(proving=self._limits.proving) if study.last_at < before]
        return sum(self._remove(study, f"older than {days:g} days") for study in old)

    def _remove_until_it_fits(self) -> int:
        limit = self._limits.bytes_in_all
        if limit is None:
            return 0
        removed, used = 0, self._folders.bytes_in_all()
        for study in self._store.left_alone(proving=self._limits.proving) if used > limit else ():
            size = self._folders.bytes_of(study.study_instance_uid)
            if self._remove(study, f"the oldest, where {used / 1e9:.3f} of {limit / 1e9:g} GB were used"):
                removed, used = removed + 1, used - size
            if used <= limit:
                break
        if used > limit:
            _LOGGER.warning(
                "Studies take %.3f GB, more than retain.maximum_gb, and no other may go; see those that are not done",
                used / 1e9,
                extra={"action": "retention_short"},
            )
        return removed

    def _remove(self, study: LeftAlone, why: str) -> bool:
        uid = study.study_instance_uid
        gone = self._store.expire(
            uid, why=why, discard=self._folders.discard, now=self._clock(), proving=self._limits.proving
        )
        if gone:
            _LOGGER.info("Removed study %s: %s", uid, why, extra={"action": "study_expired"})
        return gone
