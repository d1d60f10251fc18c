"""The process that speaks Ray for a worker: connects, looks which replicas there are, asks them.

Ray ends the process that uses it when its cluster goes for good. This one may be ended, the worker not.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

# before Ray is imported: it would tell its makers that it is used, and by whom
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RaySystemError, RayTaskError

from dicom_node.domain.cluster import ClusterError, Offer
from dicom_node.faults import tell_without_messages, type_and_place

#: Where the node's actors have their names on a cluster that others may use, too.
NAMESPACE = "dicom-node"
#: Requests of one worker under way at a time; further ones wait.
_UNDER_WAY = 16
#: How busy it is, a replica says at once, or it is starting, or too busy.
_ANSWERS_WITHIN_S = 1.0
#: Before the next look where none lives.
_PAUSE_S = 0.2
_LOOK_AGAIN_S = 15.0
#: What Ray raises where no cluster answers, or another version does.
_NO_CLUSTER = (ConnectionError, OSError, RuntimeError, RayError, ValueError, AssertionError)


def connect(address: str) -> None:
    """Join the cluster as its user. Raises ClusterError, after half a minute where nothing answers at all."""
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, include_dashboard=None)
    except _NO_CLUSTER as error:
        raise ClusterError(f"no Ray cluster answers at {address} ({type(error).__name__})") from error
    tell_without_messages()  # Ray has put a hook of its own in that place


def name_of_replica(package: str, digest: str) -> str:
    """A name that no other replica has; what it serves stands in it."""
    return f"{package}@{digest}#{uuid.uuid4().hex[:8]}"


class Replicas:
    """The replicas of a cluster that this process has joined. Used by many threads."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._by_digest: dict[str, list[str]] = {}
        self._handles: dict[str, ActorHandle[Any]] = {}
        #: Requests of this process that are under way, by replica: one that was just sent has not been counted there.
        self._under_way: Counter[str] = Counter()

    def offer(self) -> Offer:
        """Every package served, by those of its replicas that have a name now."""
        found = Counter(tuple(name.partition("#")[0].rsplit("@", 1)) for name in self._look())
        return Offer({(each[0], each[1]): count for each, count in found.items()}, ray.__version__)

    def ask(self, digest: str, pictures: object, timeout_s: float) -> object:
        """The answer of one of the two least busy looking replicas; where a replica dies, of another one.

        Raises ClusterError when there is no answer in time, or the network broke.
        """
        until, shared, dead = time.monotonic() + timeout_s, ray.put(pictures), set[str]()
        while (left := until - time.monotonic()) > 0:
            name = self._less_busy(digest, dead, left)
            if name is None:
                dead.clear()
                threading.Event().wait(min(_PAUSE_S, left))
                continue
            try:
                return ray.get(self._handle(name).run.remote(shared), timeout=left)
            except GetTimeoutError:
                break
            except RayTaskError as error:
                raise ClusterError(f"a replica stopped with {type(error.cause).__name__}") from error
            except (RayActorError, RaySystemError, ValueError):  # ValueError: its name is gone
                self._forget(name, dead)
            finally:
                with self._lock:
                    self._under_way[name] -= 1
        raise ClusterError(f"no answer within {timeout_s:g} s")

    def _less_busy(self, digest: str, dead: set[str], left_s: float) -> str | None:
        """Of two by chance the one that has less to do: nearly as good as asking all, and as cheap as asking one.

        By chance among those that this process asks least: what goes side by side shall not meet at one. From now on
        the request counts as under way there.
        """
        alive = [name for name in self._serving(digest) if name not in dead]
        with self._lock:
            two = sorted(self._chance.sample(alive, len(alive)), key=self._under_way.__getitem__)[:2]
            self._under_way.update(two)  # both, so that another thread looks elsewhere meanwhile
        waiting = dict.fromkeys(two, 0) if len(two) < 2 else self._waiting_at(two, dead, left_s)
        with self._lock:
            chosen = min(waiting, key=lambda name: max(waiting[name], self._under_way[name] - 1), default=None)
            self._under_way.subtract(name for name in two if name != chosen)
        return chosen

    def _waiting_at(self, two: Collection[str], dead: set[str], left_s: float) -> Mapping[str, int]:
        """Requests of everybody that each has not answered yet; without those that do not say."""
        waiting: dict[str, int] = {}
        for name in two:
            try:
                asked: Any = self._handle(name).unanswered.remote()
                waiting[name] = ray.get(asked, timeout=min(_ANSWERS_WITHIN_S, left_s))
            except GetTimeoutError:
                continue
            except (RayActorError, RaySystemError, ValueError):
                self._forget(name, dead)
        return waiting

    def _serving(self, digest: str) -> Collection[str]:
        if time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
            self._look()
        return self._by_digest.get(digest, ())

    def _look(self) -> Collection[str]:
        names = [each for each in ray.util.list_named_actors() if isinstance(each, str) and "@" in each]
        by_digest: dict[str, list[str]] = {}
        for name in names:
            by_digest.setdefault(name.partition("#")[0].rsplit("@", 1)[1], []).append(name)
        with self._lock:
            self._looked_at, self._by_digest = time.monotonic(), by_digest
        return names

    def _handle(self, name: str) -> ActorHandle[Any]:
        """Raises ValueError when there is no such replica any more."""
        if name not in self._handles:
            self._handles[name] = ray.get_actor(name)
        return self._handles[name]

    def _forget(self, name: str, dead: set[str]) -> None:
        dead.add(name)
        with self._lock:
            self._handles.pop(name, None)
            self._looked_at = float("-inf")


def main(connection: Connection, address: str, timeout_s: float) -> None:
    """The process: send an Offer, or in words why there is none; then answer requests until the pipe closes.

    A request is (number, digest, pictures); its answer (number, what the network gives), or (number, ClusterError).
    """
    try:
        connect(address)
        replicas = Replicas(random.Random())
        connection.send(replicas.offer())
    except ClusterError as error:
        connection.send(str(error))
        return
    sending = threading.Lock()
    with ThreadPoolExecutor(_UNDER_WAY) as threads, suppress(EOFError, OSError):
        while True:
            threads.submit(partial(_serve, replicas, connection, sending, timeout_s), connection.recv())


def _serve(
    replicas: Replicas,
    connection: Connection,
    sending: threading.Lock,
    timeout_s: float,
    request: tuple[int, str, object],
) -> None:
    number, digest, pictures = request
    answer: object
    try:
        answer = replicas.ask(digest, pictures, timeout_s)
    except ClusterError as error:
        answer = error
    except RayError as error:
        answer = ClusterError(f"Ray could not ask: {type_and_place(error)}")
    with sending, suppress(OSError):
        connection.send((number, answer))
