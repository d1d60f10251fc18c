"""What it takes for a hospital, a region, a country: `python -m benchmarks.simulation [--below S] [--faster K]`.

A day of studies at nodes that share a cluster, simulated from the service times in benchmarks/service_times.json: once
with every node alone, once with the fewest replicas of each package that keep p99 of the busiest hour below --below
seconds. Time counts from the moment the study is complete to its results; sending and settling come on top. Assumed,
and not measured, are the mix of studies and the curve of the day below, and nothing else.

--faster K: a replica takes a K-th of the measured time. Of GPUs there are no figures here: measure what one of yours
gains (benchmarks.service_times on both), and give that.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.queueing import Demand, Outcome, simulate

SERVICE_TIMES = Path(__file__).with_name("service_times.json")
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
CURVE = np.array(
    [
        1.3,
        1.0,
        0.9,
        0.8,
        0.8,
        1.0,
        1.8,
        4.0,
        7.5,
        9.0,
        9.6,
        8.8,
        6.4,
        7.6,
        8.6,
        7.8,
        6.0,
        4.2,
        3.2,
        2.7,
        2.3,
        1.9,
        1.6,
        1.2,
    ]
)
_HOUR_S = 3600.0
#: A search that comes so far has no answer: what is asked for is below what one study takes by itself.
_MOST_REPLICAS = 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of study: seconds of several measurements, at the node and of each forward pass."""

    node_s: tuple[float, ...]
    passes: tuple[tuple[str, tuple[float, ...]], ...]


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
            tuple((each["package"], tuple(s / faster for s in each["seconds"])) for each in record["passes"]),
        )
        for name, record in records.items()
    }


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
    passes = [(package, seconds[number]) for number in drawn for package, seconds in kind.passes]
    return Demand(at, node, sum(kind.node_s[number] for number in drawn), passes)


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
    hours = [int(each.arrived_at // _HOUR_S) for each in outcomes]
    busiest = max(set(hours), key=hours.count)
    return [each.seconds for each, hour in zip(outcomes, hours, strict=True) if hour == busiest]


def fewest(place: Place, demands: Sequence[Demand], packages: Sequence[str], below_s: float) -> Row | None:
    """The day with the fewest replicas that keep p99 of its busiest hour below `below_s`; None: no number does."""
    offered = sum(s for each in demands for _, s in each.passes) * CURVE.max() / CURVE.sum() / _HOUR_S
    low, high = 0, max(1, math.ceil(offered / len(packages)))
    rows = {}
    while (row := row_of(place, demands, packages, high)).busiest_hour_p99_s >= below_s:
        low, high = high, high * 2
        if high > _MOST_REPLICAS:
            return None
    rows[high] = row
    while high - low > max(1, high // 20):  # to one in twenty: the day itself is drawn by chance
        middle = (low + high) // 2
        rows[middle] = row_of(place, demands, packages, middle)
        low, high = (low, middle) if rows[middle].busiest_hour_p99_s < below_s else (middle, high)
    return rows[high]


def _printed(rows: Sequence[Row], title: str) -> Table:
    head = ("", "studies a day", "nodes", "replicas of each", "in all", "p50 s", "p99 s", "p99 s, busiest hour")
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*map(str, asdict(row).values()))
    return table


def main() -> None:
    """Simulate, print, and leave a JSON file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--below", type=float, default=60.0, help="seconds at p99; left out: 60")
    parser.add_argument("--faster", type=float, default=1.0, help="than measured; left out: 1, a processor core")
    parser.add_argument("--places", nargs="*", default=[place.name for place in PLACES])
    parser.add_argument("--json", type=Path, help="write the table there, too")
    wanted = parser.parse_args()
    measured = json.loads(SERVICE_TIMES.read_text(encoding="utf-8"))
    kinds = kinds_of(measured, wanted.faster)
    packages = sorted({package for name in MIX for package, _ in kinds[name].passes})
    rows = []
    for place in (each for each in PLACES if each.name in wanted.places):
        demands = day(place, kinds, seed=place.studies_per_day)
        rows.append(row_of(place, demands, packages, 0))
        rows.extend(filter(None, [fewest(place, demands, packages, wanted.below)]))
    title = f"p99 below {wanted.below:g} s, service times of {measured['measured']} / {wanted.faster:g}"
    Console(highlight=False).print(_printed(rows, title))
    if wanted.json is not None:
        told = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "title": title,
            "mix (share, series)": MIX,
            "service times": measured["machine"],
            "rows": [asdict(row) for row in rows],
        }
        wanted.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
