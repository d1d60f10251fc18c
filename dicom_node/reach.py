"""Whether one peer can be reached: its circuit breaker, kept in the store, told when it opens and when it closes.

Not once an object: a peer that is down over a weekend leaves two lines in the log, however long its queue grows.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Protocol

from dicom_node.domain.breaker import CLOSED, Breaker, after_failure, may_try

_LOGGER = logging.getLogger(__name__)


class BreakerStore(Protocol):
    """Where breakers are kept, durably, with what they mean for the deliveries that wait."""

    def breaker(self, peer: str) -> Breaker:
        """How the peer has answered of late."""

    def peer_fails(self, peer: str, breaker: Breaker, *, now: float) -> int:
        """It could not be reached; how many objects wait for it."""

    def peer_answers(self, peer: str, *, now: float) -> int:
        """It could be reached: all that waits for it is due; how many objects."""


class Reach:
    """The breaker of one peer. Used by the one thread that serves the peer."""

    def __init__(self, store: BreakerStore, peer: str, clock: Callable[[], float], jitter: random.Random) -> None:
        self._store = store
        self._peer = peer
        self._clock = clock
        self._jitter = jitter
        self._breaker = CLOSED

    def may_try(self) -> bool:
        """Whether the peer may be called now. Asks the store: a person may have asked for a try meanwhile."""
        self._breaker = self._store.breaker(self._peer)
        return may_try(self._breaker, now=self._clock())

    @property
    def is_open(self) -> bool:
        """Whether what is done now is a probe."""
        return self._breaker.is_open

    def failed(self, reason: str) -> bool:
        """The peer could not be reached; whether its queue now waits as a whole."""
        now, before = self._clock(), self._breaker
        self._breaker = after_failure(before, reason, now=now, jitter=self._jitter)
        waiting = self._store.peer_fails(self._peer, self._breaker, now=now)
        if self._breaker.is_open and not before.is_open:
            _LOGGER.warning(
                "%s cannot be reached, %d times in a row; %d objects wait until it can: %s",
                self._peer,
                self._breaker.failures,
                waiting,
                reason,
                extra={"action": "peer_unreachable"},
            )
        return self._breaker.is_open

    def answered(self) -> None:
        """The peer answered, whatever it said."""
        if not self._breaker.failures:
            return
        now, before = self._clock(), self._breaker
        self._breaker = CLOSED
        waiting = self._store.peer_answers(self._peer, now=now)
        if before.is_open:
            _LOGGER.warning(
                "%s answers again, after %.0f s; %d objects are sent now",
                self._peer,
                now - (now if before.since is None else before.since),
                waiting,
                extra={"action": "peer_back"},
            )
