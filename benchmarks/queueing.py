"""Nodes, replicas and the studies that wait for them, as a discrete-event simulation; times in seconds."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import simpy
from simpy.events import Event
from simpy.resources.resource import Resource


@dataclass(frozen=True, slots=True)
class Demand:
    """What one study asks for: time of its own node, and forward passes, one after the other."""

    arrives_at: float
    #: Which of the nodes it is at.
    node: int
    node_s: float
    #: (package, seconds)
    passes: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How long one study took, from its turn being possible to its results."""

    arrived_at: float
    seconds: float


class _World:
    """A node works on one study at a time; a replica on one forward pass, first come, first served."""

    def __init__(self, nodes: int, replicas: Mapping[str, int], chance: random.Random) -> None:
        self.clock = simpy.Environment()
        self._nodes = [Resource(self.clock) for _ in range(nodes)]
        self._replicas = {name: [Resource(self.clock) for _ in range(count)] for name, count in replicas.items()}
        self._chance = chance
        self.outcomes: list[Outcome] = []

    def arrivals(self, demands: Iterable[Demand]) -> Generator[Event]:
        """In the order of their times."""
        for demand in demands:
            yield self.clock.timeout(demand.arrives_at - self.clock.now)
            self.clock.process(self._study(demand))

    def _study(self, demand: Demand) -> Generator[Event]:
        with self._nodes[demand.node].request() as turn:
            yield turn
            yield self.clock.timeout(demand.node_s)
            for package, seconds in demand.passes:
                replica = self._less_busy(package)
                if replica is None:  # nobody else: the node does it
                    yield self.clock.timeout(seconds)
                    continue
                with replica.request() as served:
                    yield served
                    yield self.clock.timeout(seconds)
        self.outcomes.append(Outcome(demand.arrives_at, self.clock.now - demand.arrives_at))

    def _less_busy(self, package: str) -> Resource | None:
        """Of two by chance, as nodes choose; None: nobody serves it."""
        replicas = self._replicas.get(package, [])
        two = self._chance.sample(replicas, min(2, len(replicas)))
        return min(two, key=lambda each: each.count + len(each.queue), default=None)


def simulate(demands: Iterable[Demand], *, nodes: int, replicas: Mapping[str, int], seed: int) -> list[Outcome]:
    """Every study's outcome, in the order of their ends. `replicas`: of each package; the node itself does the others.

    `demands` come in the order of their times.
    """
    world = _World(nodes, replicas, random.Random(seed))
    world.clock.process(world.arrivals(demands))
    world.clock.run()
    return world.outcomes
