"""Who is in: the associations that are open, what they have brought, and the objects being written right now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from dicom_node.domain.errors import OutOfResources


class OpenAssociation(Protocol):
    """An association as far as it matters here: is it over? pynetdicom's own fits."""

    is_released: bool
    is_aborted: bool
    is_rejected: bool

    def is_alive(self) -> bool:
        """Whether its thread runs."""


class Refusal(Protocol):
    """Why an association may not come in: the numbers of PS3.8 Table 9-21, and a sentence that says what to change."""

    @property
    def result(self) -> int:
        """1 permanent, 2 transient."""

    @property
    def source(self) -> int:
        """1 service user, 2 service provider (ACSE), 3 service provider (presentation)."""

    @property
    def diagnostic(self) -> int:
        """Depends on the source."""

    @property
    def reason(self) -> str:
        """For the log: what was wrong."""

    @property
    def remedy(self) -> str:
        """Which setting would let it in, or what to change at the peer."""


_Association = TypeVar("_Association", bound=OpenAssociation)


class Attendance(Generic[_Association]):
    """Which associations are open, and of which studies each has stored something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._studies: dict[_Association, set[str]] = {}

    def enter(
        self, association: _Association, decide: Callable[[tuple[_Association, ...]], Refusal | None]
    ) -> Refusal | None:
        """Decide with the others that are open, and remember the association if it may come in."""
        with self._lock:
            self._studies = {other: studies for other, studies in self._studies.items() if _is_open(other)}
            refusal = decide(tuple(self._studies))
            if refusal is None:
                self._studies[association] = set()
            return refusal

    def stored(self, association: _Association, study_instance_uid: str) -> None:
        """Note that an association has stored an object of a study."""
        with self._lock:
            if association in self._studies:  # not when it was aborted meanwhile
                self._studies[association].add(study_instance_uid)

    def serving(self, study_instance_uid: str) -> int:
        """How many associations that are open have stored an object of a study."""
        with self._lock:
            return sum(
                study_instance_uid in studies and _is_open(association)
                for association, studies in self._studies.items()
            )


class Writing:
    """Counts the objects being written, so that stopping can wait for them and let no other begin."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """While one object is written. Raises OutOfResources when the node is stopping."""
        with self._changed:
            if self._closed:
                raise OutOfResources("the node is stopping; send again later")
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Let no other begin, wait for those that have; whether all finished in time."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._count == 0, timeout_s)


def _is_open(association: OpenAssociation) -> bool:
    gone = association.is_released or association.is_aborted or association.is_rejected
    return association.is_alive() and not gone
