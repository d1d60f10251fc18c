"""Nodes, replicas and the studies that wait for them, as a discrete-event simulation; times in seconds."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import simpy
from simpy.events import Event
from simpy.resources.resource import Resource

from dicom_node.domain.cluster import SIDE_BY_SIDE


@dataclass(frozen=True, slots=True)
class Stage:
    """What a model is asked about one series: forward passes that need not wait for each other."""

    package: str
    #: Of each pass.
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """What one study asks for: time of its own node, and stages, one after the other."""

    arrives_at: float
    #: Which of the nodes it is at.
    node: int
    node_s: float
    stages: Sequence[Stage]


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
            for stage in demand.stages:
                yield from self._done(stage)
        self.outcomes.append(Outcome(demand.arrives_at, self.clock.now - demand.arrives_at))

    def _done(self, stage: Stage) -> Generator[Event]:
        """As many passes at a time as a node has under way; the next ones when these are done."""
        replicas = self._replicas.get(stage.package)
        if not replicas:  # nobody else: the node does them all
            yield self.clock.timeout(sum(stage.seconds))
            return
        width = min(len(replicas), SIDE_BY_SIDE)
        for first in range(0, len(stage.seconds), width):
            some = stage.seconds[first : first + width]
            passes = [self._pass(*each) for each in zip(self._chosen(replicas, len(some)), some, strict=True)]
            if len(passes) == 1:
                yield from passes[0]
            else:
                yield self.clock.all_of([self.clock.process(each) for each in passes])

    def _chosen(self, replicas: Sequence[Resource], count: int) -> list[Resource]:
        """One for each pass, as nodes choose: the less busy of two by chance, of those that have none of the others."""
        left, chosen = self._chance.sample(replicas, min(count + 1, len(replicas))), []
        for _ in range(count):
            chosen.append(min(left[:2], key=lambda each: each.count + len(each.queue)))
            left.remove(chosen[-1])
        return chosen

    def _pass(self, replica: Resource, seconds: float) -> Generator[Event]:
        with replica.request() as served:
            yield served
            yield self.clock.timeout(seconds)


def simulate(demands: Iterable[Demand], *, nodes: int, replicas: Mapping[str, int], seed: int) -> list[Outcome]:
    """Every study's outcome, in the order of their ends. `replicas`: of each package; the node itself does the others.

    `demands` come in the order of their times.
    """
    world = _World(nodes, replicas, random.Random(seed))
    world.clock.process(world.arrivals(demands))
    world.clock.run()
    return world.outcomes
