"""The simulation against queues whose answer is known, and its days against what they are drawn from."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.queueing import Demand, Stage, simulate
from benchmarks.sizing import CURVE, MIX, PLACES, Kind, Place, day, fewest, kinds_of, row_of

COUNT = 20_000
BUSY = 0.7


def poisson(rate, count=COUNT, seed=1):
    """Times of arrivals at that many a second."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def exponential(count=COUNT, seed=2):
    """Service times of one second in the mean."""
    return np.random.default_rng(seed).exponential(1.0, count)


def mean_of(outcomes):
    """Seconds in the system."""
    return np.mean([each.seconds for each in outcomes])


def test_one_replica_is_an_m_m_1_queue():
    """Mean time in the system 1 / (mu - lambda); a node for every study, so that none waits there."""
    demands = [
        Demand(at, n, 0.0, [Stage("p", (s,))])
        for n, (at, s) in enumerate(zip(poisson(BUSY), exponential(), strict=True))
    ]
    outcomes = simulate(demands, nodes=COUNT, replicas={"p": 1}, seed=1)
    assert mean_of(outcomes) == pytest.approx(1 / (1 - BUSY), rel=0.1)


@pytest.mark.parametrize("where", ["its own time", "its passes"])
def test_a_node_alone_is_an_m_d_1_queue(where):
    """Pollaczek-Khinchine: 1 + rho / (2 (1 - rho)) service times; passes that nobody serves are the node's, too."""
    node_s, stages = (1.0, []) if where == "its own time" else (0.0, [Stage("p", (0.5, 0.5))])
    outcomes = simulate([Demand(at, 0, node_s, stages) for at in poisson(BUSY)], nodes=1, replicas={"other": 3}, seed=1)
    assert mean_of(outcomes) == pytest.approx(1 + BUSY / (2 * (1 - BUSY)), rel=0.05)


def test_many_replicas_are_the_queue_of_two_choices():
    """Mitzenmacher's limit for the shorter of two queues: the sum of lambda^(2^i - 2) over i = 1, 2, ..."""
    rate, replicas = 0.9, 60
    demands = [
        Demand(at, n, 0.0, [Stage("p", (s,))])
        for n, (at, s) in enumerate(zip(poisson(rate * replicas), exponential(), strict=True))
    ]
    outcomes = simulate(demands, nodes=COUNT, replicas={"p": replicas}, seed=1)
    limit = sum(rate ** (2**i - 2) for i in range(1, 12))
    assert mean_of([each for each in outcomes if each.arrived_at > 50]) == pytest.approx(limit, rel=0.1)


def test_stages_are_done_one_after_the_other_while_the_node_waits():
    """Of two studies at one node the second begins when the first has its results."""
    stages = [Stage("p", (2.0,)), Stage("q", (3.0,))]
    outcomes = simulate(
        [Demand(0.0, 0, 1.0, stages), Demand(0.5, 0, 1.0, stages)], nodes=1, replicas={"p": 1, "q": 1}, seed=1
    )
    assert [each.seconds for each in outcomes] == [6.0, 11.5]


@pytest.mark.parametrize(("replicas", "seconds"), [(0, 18.0), (1, 18.0), (2, 10.0), (9, 4.0)])
def test_the_passes_of_a_stage_go_side_by_side(replicas, seconds):
    """A replica each, and no more at a time than a node has under way; where nobody serves, one after the other."""
    outcomes = simulate([Demand(0.0, 0, 0.0, [Stage("p", (2.0,) * 9)])], nodes=1, replicas={"p": replicas}, seed=1)
    assert [each.seconds for each in outcomes] == [seconds]


KINDS = {name: Kind((0.1, 0.2), ((Stage("p", (1.0,)),), (Stage("p", (2.0,)),))) for name in MIX}


def test_measured_passes_of_one_package_in_a_row_are_a_stage():
    """Each measurement for itself, the replicas' part as many times as fast."""
    passes = [("a", [2.0, 4.0]), ("a", [6.0, 8.0]), ("b", [1.0, 3.0]), ("a", [5.0, 7.0])]
    record = {"node_seconds": [0.5, 0.6], "passes": [{"package": name, "seconds": s} for name, s in passes]}
    assert kinds_of({"kinds": {"k": record}}, 2.0) == {
        "k": Kind(
            (0.5, 0.6),
            (
                (Stage("a", (1.0, 3.0)), Stage("b", (0.5,)), Stage("a", (2.5,))),
                (Stage("a", (2.0, 4.0)), Stage("b", (1.5,)), Stage("a", (3.5,))),
            ),
        )
    }


def test_a_day_follows_the_curve_and_spreads_over_the_nodes():
    """In order, by hour in the shares of the curve, each at one of the nodes."""
    demands = day(Place("here", 20_000, 7), KINDS, seed=3)
    times = [each.arrives_at for each in demands]
    assert times == sorted(times)
    assert len(demands) == pytest.approx(20_000, rel=0.05)
    hours = Counter(int(at // 3600) for at in times)
    assert hours[10] / len(demands) == pytest.approx(CURVE[10] / CURVE.sum(), rel=0.1)
    assert hours[3] / len(demands) == pytest.approx(CURVE[3] / CURVE.sum(), rel=0.3)
    assert {each.node for each in demands} == set(range(7))
    series = Counter(len(each.stages) for each in demands)
    assert series.keys() == {2, 3, 5, 10}
    assert series[2] / len(demands) == pytest.approx(0.55, rel=0.05)
    assert {each.node_s for each in demands if len(each.stages) == 2} == {0.2, 0.1 + 0.2, 0.4}
    assert all(
        each.node_s == pytest.approx(sum(s for stage in each.stages for s in stage.seconds) / 10) for each in demands
    )


def test_the_fewest_replicas_that_do_are_found():
    """One less does not; below what a study takes by itself no number does."""
    place = Place("here", 3_000, 300)
    demands = day(place, KINDS, seed=4)
    found = fewest(place, demands, ["p"], 25.0)
    assert found.busiest_hour_p99_s < 25.0
    assert row_of(place, demands, ["p"], found.replicas - 1).busiest_hour_p99_s >= 25.0
    assert found.replicas_in_all == found.replicas > 1
    assert fewest(place, demands[:50], ["p"], 0.5) is None


def test_chance_is_the_seed():
    """The same day, and the same choices."""
    place = PLACES[0]
    demands = day(place, KINDS, seed=5)
    assert demands == day(place, KINDS, seed=5)
    assert row_of(place, demands, ["p"], 3) == row_of(place, demands, ["p"], 3)
