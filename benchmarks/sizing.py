"""A day of studies at nodes that share a cluster, and the fewest replicas that do: what `benchmarks.simulation` tells.

Service times are measured; the mix of studies and the curve of the day are assumed, and nothing else is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.queueing import Demand, Outcome, Stage, simulate

#: Of a general hospital: kind as in the service times -> share of the studies, and how many series (of an ultrasound:
#: pictures) one has, each as large as the generated one. An assumption; change it to yours.
MIX = {
    "hand radiograph": (0.55, 2),
    "abdomen CT": (0.22, 3),
    "colour ultrasound": (0.11, 10),
    "brain MR": (0.06, 5),
    "knee MR": (0.06, 5),
}
#: Studies by hour of the day, as shares: quiet nights, peaks at 10 and 14 o'clock. An assumption, too.
CURVE = np.array([
    1.3, 1.0, 0.9, 0.8, 0.8, 1.0, 1.8, 4.0, 7.5, 9.0, 9.6, 8.8,
    6.4, 7.6, 8.6, 7.8, 6.0, 4.2, 3.2, 2.7, 2.3, 1.9, 1.6, 1.2,
])  # fmt: skip
_HOUR_S = 3600.0
#: A search that comes so far has no answer: what is asked for is below what one study takes by itself.
_MOST_REPLICAS = 4096
#: Seconds that p99 of the busiest hour is to stay below, unless --below says otherwise.
BELOW_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of study: seconds of several measurements, at the node and of each forward pass."""

    node_s: tuple[float, ...]
    #: Of each measurement.
    stages: tuple[tuple[Stage, ...], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Whom is planned for."""

    name: str
    studies_per_day: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One plan, and what came of a day with it. Replicas are of each package; 0: every node computes alone."""

    place: str
    studies: int
    nodes: int
    replicas: int
    #: Of all packages together, each with a core or its share of a GPU.
    replicas_in_all: int
    p50_s: float
    p99_s: float
    busiest_hour_p99_s: float


PLACES = (
    Place("hospital", 300, 1),
    Place("large hospital", 2_000, 1),
    Place("region", 5_000, 17),
    Place("country", 100_000, 334),
)


def kinds_of(told: Mapping[str, object], faster: float) -> dict[str, Kind]:
    """The measurements of `benchmarks.service_times`, with replicas that are `faster` times as fast."""
    records = told["kinds"]
    assert isinstance(records, dict)
    return {
        name: Kind(
            tuple(record["node_seconds"]),
            tuple(_stages(record["passes"], number, faster) for number in range(len(record["node_seconds"]))),
        )
        for name, record in records.items()
    }


def _stages(passes: Sequence[Mapping[str, Any]], number: int, faster: float) -> tuple[Stage, ...]:
    """Of one measurement; passes of one package that follow each other are a stage."""
    return tuple(
        Stage(package, tuple(each["seconds"][number] / faster for each in some))
        for package, some in groupby(passes, key=lambda each: str(each["package"]))
    )


def day(place: Place, kinds: Mapping[str, Kind], seed: int) -> list[Demand]:
    """A day's studies: their number by Poisson, their times by the curve, their nodes and measurements by chance."""
    chance = np.random.default_rng(seed)
    count = int(chance.poisson(place.studies_per_day))
    hours = chance.choice(24, count, p=CURVE / CURVE.sum())
    times = np.sort((hours + chance.random(count)) * _HOUR_S)
    names, shares = list(MIX), np.array([share for share, _ in MIX.values()])
    chosen = [names[number] for number in chance.choice(len(names), count, p=shares / shares.sum())]
    nodes = chance.integers(place.nodes, size=count)
    return [
        _demand(float(at), int(node), kinds[name], chance.integers(len(kinds[name].node_s), size=MIX[name][1]))
        for at, node, name in zip(times, nodes, chosen, strict=True)
    ]


def _demand(at: float, node: int, kind: Kind, rounds: Iterable[int]) -> Demand:
    """Of each series one measurement as a whole: what was slow together stays so."""
    drawn = list(rounds)
    stages = [stage for number in drawn for stage in kind.stages[number]]
    return Demand(at, node, sum(kind.node_s[number] for number in drawn), stages)


def row_of(place: Place, demands: Sequence[Demand], packages: Sequence[str], replicas: int) -> Row:
    """The day with so many replicas of each package."""
    served = dict.fromkeys(packages, replicas) if replicas else {}
    outcomes = simulate(demands, nodes=place.nodes, replicas=served, seed=replicas)
    seconds = np.array([each.seconds for each in outcomes])
    return Row(
        place.name,
        len(outcomes),
        place.nodes,
        replicas,
        replicas * len(packages),
        *(round(float(np.percentile(seconds, share)), 2) for share in (50, 99)),
        round(float(np.percentile(_busiest(outcomes), 99)), 2),
    )


def _busiest(outcomes: Sequence[Outcome]) -> list[float]:
    """Seconds of the studies that arrived in the hour of the most arrivals."""
    busiest = _busiest_hour([each.arrived_at for each in outcomes])
    return [each.seconds for each in outcomes if int(each.arrived_at // _HOUR_S) == busiest]


def _busiest_hour(times: Iterable[float]) -> int:
    [(hour, _)] = Counter(sorted(int(at // _HOUR_S) for at in times)).most_common(1)
    return hour


def fewest(place: Place, demands: Sequence[Demand], packages: Sequence[str], below_s: float) -> Row | None:
    """The day with the fewest replicas that keep p99 of its busiest hour below `below_s`; None: no number does.

    They are sought by that hour and the one before, which is much sooner done than a day, and then held to the day.
    """
    busiest = _busiest_hour(each.arrives_at for each in demands)
    hours = [each for each in demands if busiest - 1 <= each.arrives_at // _HOUR_S <= busiest]

    def are_enough(replicas: int) -> bool:
        return row_of(place, hours, packages, replicas).busiest_hour_p99_s < below_s

    low, high = 0, 1
    while not are_enough(high):
        low, high = high, high * 2
        if high > _MOST_REPLICAS:
            return None
    while high - low > max(1, high // 20):  # to one in twenty: the day itself is drawn by chance
        middle = (low + high) // 2
        low, high = (low, middle) if are_enough(middle) else (middle, high)
    rows = (row_of(place, demands, packages, replicas) for replicas in range(high, _MOST_REPLICAS + 1))
    return next((row for row in rows if row.busiest_hour_p99_s < below_s), None)


def plan(place: Place, measured: Mapping[str, object], faster: float = 1.0, below_s: float = BELOW_S) -> list[Row]:
    """The place's day with every node alone, and with the fewest replicas, if any number does."""
    here, there = (day(place, kinds_of(measured, by), seed=place.studies_per_day) for by in (1.0, faster))
    packages = sorted({stage.package for each in here for stage in each.stages})
    found = fewest(place, there, packages, below_s)
    return [row_of(place, here, packages, 0), *([found] if found else [])]
