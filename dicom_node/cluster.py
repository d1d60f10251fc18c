"""The cluster that computes for this node, as a worker sees it: asked while it answers, done without while it does not.

Nothing of a study depends on it: the models are here, too. The log tells when the cluster is lost and when it is back,
not every study in between.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.breaker import Breaker, may_try
from dicom_node.domain.cluster import ClusterError, Match, Offer, after_failure, match, side_by_side
from dicom_node.domain.errors import StoreError
from dicom_node.ray_process import CONNECTS_WITHIN_S, RayProcess
from dicom_node.settings import Settings
from inference.cascade import Shelf
from inference.registry import BrokenPackage
from inference.remote import Answer, lent

_LOGGER = logging.getLogger(__name__)

#: How `status` names it among what cannot be reached.
CLUSTER = "Ray cluster"


class Health(Protocol):
    """Where it is recorded that the cluster cannot be reached, for `status`."""

    def breaker(self, peer: str) -> Breaker:
        """How it has answered of late."""

    def peer_fails(self, peer: str, breaker: Breaker, *, now: float) -> int:
        """It gave no answer."""

    def peer_answers(self, peer: str, *, now: float) -> int:
        """It did."""


class Connection(Protocol):
    """One connection to a cluster, as `RayProcess` is one."""

    @property
    def is_connecting(self) -> bool:
        """Whether its offer may still come."""

    def offer(self, wait_s: float = 0.0) -> Offer:
        """What is served; raises ClusterError."""

    def ask(self, digest: str, pictures: NDArray[np.float32]) -> object:
        """A network's answer; raises ClusterError."""

    def stop(self) -> None:
        """End it."""


class Cluster:
    """Safe for many threads."""

    def __init__(
        self, wanted: Mapping[str, str], connect: Callable[[], Connection], health: Health, clock: Callable[[], float]
    ) -> None:
        """`wanted`: name of each package that the node has -> digest."""
        self._wanted = wanted
        self._connect = connect
        self._health = health
        self._clock = clock
        self._jitter = random.Random()  # spreads the tries of many nodes, and guards nothing
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._match: Match | None = None
        self._told = ""
        self._breaker = health.breaker(CLUSTER)

    def start(self) -> None:
        """Connect, and wait for it: the first study shall not be computed here for want of a second."""
        with self._lock:
            self._connection = self._connect()
            self._take_offer(self._connection, CONNECTS_WITHIN_S)

    def ask(self, digest: str, pictures: NDArray[np.float32]) -> Answer | None:
        """A network's answer; None: ask it here. It waits only for a cluster that has answered before."""
        with self._lock:
            connection = self._connection_for(digest)
        if connection is None:
            return None
        try:
            answer = connection.ask(digest, pictures)
        except ClusterError as error:
            with self._lock:
                self._failed(connection, str(error))
            return None
        with self._lock:
            self._answered()
        return cast("Answer", answer)

    def width(self, digest: str) -> int:
        """Requests about a package that are worth having under way at a time; 0 while it is computed here."""
        with self._lock:
            return side_by_side(self._match, self._wanted, digest)

    def stop(self) -> None:
        """Let go of it."""
        with self._lock:
            if self._connection is not None:
                self._connection.stop()
            self._connection = self._match = None

    def _connection_for(self, digest: str) -> Connection | None:
        """The one that serves this package; None: there is none now. Looks for one when it is time to."""
        if self._connection is None:
            if may_try(self._breaker, now=self._clock()):
                self._connection = self._connect()
            return None
        if self._match is None and not self._connection.is_connecting:
            self._take_offer(self._connection, 0)
        usable = () if self._match is None else [self._wanted[name] for name in self._match.usable]
        return self._connection if digest in usable else None

    def _take_offer(self, connection: Connection, wait_s: float) -> None:
        try:
            found = match(self._wanted, connection.offer(wait_s))
        except ClusterError as error:
            self._failed(connection, str(error))
            return
        if not found.usable:
            self._failed(connection, found.told)
            return
        self._match = found
        if found.told != self._told:
            level = logging.WARNING if found.problems else logging.INFO
            _LOGGER.log(level, "The %s %s", CLUSTER, found.told, extra={"action": "cluster_ready"})
            self._told = found.told

    def _failed(self, connection: Connection, reason: str) -> None:
        if connection is not self._connection:  # another thread has seen it, too
            return
        connection.stop()
        self._connection = self._match = None
        now, before = self._clock(), self._breaker
        self._breaker = after_failure(before, reason, now=now, jitter=self._jitter)
        self._record(lambda: self._health.peer_fails(CLUSTER, self._breaker, now=now))
        if not before.failures:
            _LOGGER.warning(
                "The %s is done without, and this machine computes: %s",
                CLUSTER,
                reason,
                extra={"action": "cluster_lost"},
            )

    def _answered(self) -> None:
        if not self._breaker.failures:
            return
        now, since = self._clock(), self._breaker.since
        self._breaker = Breaker()
        self._record(lambda: self._health.peer_answers(CLUSTER, now=now))
        _LOGGER.warning(
            "The %s computes again, after %.0f s", CLUSTER, now - (since or now), extra={"action": "cluster_back"}
        )

    def _record(self, change: Callable[[], int]) -> None:
        try:
            change()
        except StoreError as error:  # the analysis goes on
            _LOGGER.warning("No record of the %s: %s", CLUSTER, error, extra={"action": "cluster_not_recorded"})


def digests(shelf: Shelf) -> dict[str, str]:
    """Of the packages of a shelf that are whole, by name."""
    return {name: model.package.digest for name, model in shelf.items() if not isinstance(model, BrokenPackage)}


def cluster_for(shelf: Shelf, settings: Settings, health: Health) -> tuple[Shelf, Cluster | None]:
    """The shelf as analyses shall use it, and the cluster that it asks; as it is, and none, where all is done here."""
    if settings.runtime.executor == "local":
        health.peer_answers(CLUSTER, now=time.time())  # of a time when there was one, `status` shall say nothing
        return shelf, None
    address, timeout_s = settings.runtime.address, settings.runtime.timeout_seconds
    cluster = Cluster(digests(shelf), lambda: RayProcess(address, timeout_s), health, time.time)
    cluster.start()
    return lent(shelf, cluster.ask, cluster.width), cluster
