"""The replicas of every model package on a Ray cluster: started, looked after, and ended with the process that did so.

They are its own, so that no replica of an earlier version stays behind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, RayActorError

from dicom_node.domain.cluster import ClusterError, Replicated
from dicom_node.domain.errors import NodeError
from dicom_node.ray_executor import connect, name_of_replica
from dicom_node.settings import Settings
from inference.registry import BrokenPackage
from inference.stages import load_cascade

if TYPE_CHECKING:  # it imports torch
    from inference.remote import Answer

_LOGGER = logging.getLogger(__name__)

#: Requests that one replica answers or keeps waiting; each is a thread that mostly sleeps.
_MOST_AT_ONCE = 64


class ServingError(NodeError):
    """Replicas that cannot be started."""


def replicated(settings: Settings) -> tuple[Replicated, ...]:
    """Every package that the cascade asks, as replicas are to run it. Raises ServingError over one that is broken."""
    packages, wanted = settings.library.packages(), settings.runtime.replicas
    found = []
    for name in load_cascade(settings.models.cascade).packages:
        package = packages.get(name)
        if isinstance(package, BrokenPackage):
            raise ServingError(f"model package {name} is not usable: {package.reason}")
        if package is None:
            _LOGGER.warning("Model package %s is not installed, and not served", name, extra={"action": "not_served"})
            continue
        found.append(
            Replicated(
                name=name,
                folder=package.folder.absolute(),
                digest=package.digest,
                engine=settings.runtime.engine,
                precision=settings.runtime.precision,
                # Ray hides no GPU from an actor that has no share of one
                device=settings.runtime.device if wanted.gpus else "cpu",
                compiled_networks=settings.compiled_networks.absolute(),
                threads=max(1, int(wanted.cpus)),
                requests_at_once=wanted.requests_at_once,
            )
        )
    return tuple(found)


class Replica:
    """The actor. Torch is imported where it runs, which need not be here."""

    def __init__(self, of: Replicated) -> None:
        from dicom_node.ray_replica import ReadyPackage  # noqa: PLC0415

        self._ready = ReadyPackage(of)

    def run(self, pictures: NDArray[np.float32]) -> Answer:
        """(n, channels, size, size) to the network's numbers."""
        return self._ready.run(pictures)

    def unanswered(self) -> int:
        """Requests that wait here or are being answered."""
        return self._ready.unanswered()


class Serving:
    """The replicas, from the start on until the process ends."""

    def __init__(self, settings: Settings) -> None:
        """Join the cluster and ask it for all replicas; it starts them as it has room. Raises ServingError."""
        try:
            connect(settings.runtime.address)
        except ClusterError as error:
            raise ServingError(f"{error}; `ray start` it first, or set runtime.address") from error
        wanted = settings.runtime.replicas
        self._actor = ray.remote(Replica)
        self._options: dict[str, Any] = {
            "num_cpus": wanted.cpus,
            "num_gpus": wanted.gpus,
            "scheduling_strategy": "SPREAD",  # the loss of one machine shall not be that of all replicas
            "max_concurrency": _MOST_AT_ONCE,
            "max_restarts": -1,
            "max_task_retries": 0,  # who asks turns to another replica instead, at once
        }
        self._handles: dict[str, ActorHandle[Any]] = {}
        self._of: dict[str, Replicated] = {}
        for each in replicated(settings):
            for _ in range(wanted.count):
                self._start(each)

    @property
    def wanted(self) -> Mapping[str, int]:
        """How many replicas each package shall have."""
        names = [each.name for each in self._of.values()]
        return {name: names.count(name) for name in names}

    def ready(self, wait_s: float) -> int:
        """How many answer, after at most `wait_s`; those that are gone for good are started anew.

        Raises ServingError over one that could not begin, with its reason.
        """
        asked: dict[Any, str] = {handle.unanswered.remote(): name for name, handle in self._handles.items()}
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=wait_s)
        count = 0
        for answer in answered:
            try:
                ray.get(answer)
            except ActorDiedError as error:
                self._replace(asked[answer], error)
            except RayActorError:  # it is being started again
                continue
            else:
                count += 1
        return count

    def stop(self) -> None:
        """End them all."""
        ray.shutdown()

    def _start(self, of: Replicated) -> None:
        name = name_of_replica(of.name, of.digest)
        started: Any = self._actor.options(name=name, **self._options).remote(of)
        self._handles[name] = started
        self._of[name] = of

    def _replace(self, name: str, error: ActorDiedError) -> None:
        of = self._of.pop(name)
        del self._handles[name]
        told = [line.strip() for line in str(error).splitlines() if "ClusterError" in line]
        if told:
            raise ServingError(told[-1].partition("ClusterError: ")[2])
        _LOGGER.warning("A replica of %s is gone; starting another", of.name, extra={"action": "replica_lost"})
        self._start(of)
