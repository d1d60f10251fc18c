"""Which replica is asked, with a cluster that is none."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builders.ray_cluster import needs_ray

needs_ray()

from dicom_node import ray_executor  # noqa: E402  # it imports Ray
from dicom_node.domain.cluster import ClusterError  # noqa: E402
from dicom_node.ray_executor import Replicas  # noqa: E402

DIGEST = "d" * 64


class Method:
    """Of an actor; what it gives is called by `ray.get`."""

    def __init__(self, content):
        self._content = content

    def remote(self, *given):
        """As a reference to it."""
        return lambda: self._content(*given)


class Actor:
    """Says that it has nothing to do, as one does that has not heard of what was just sent."""

    def __init__(self, name, run, is_asked):
        self.unanswered = Method(lambda: is_asked() and 0)
        self.run = Method(lambda pictures: run(name, pictures))


@pytest.fixture
def replicas_of(monkeypatch):
    """A function that makes the replicas of a cluster that has so many; each answers by `run(name, pictures)`."""

    def make(count, run, chance=1, is_asked=lambda: 0):
        names = [f"unet@{DIGEST}#{number}" for number in range(count)]
        monkeypatch.setattr(ray_executor.ray.util, "list_named_actors", lambda: names)
        monkeypatch.setattr(ray_executor.ray, "get_actor", lambda name: Actor(name, run, is_asked))
        monkeypatch.setattr(ray_executor.ray, "put", lambda pictures: pictures)
        monkeypatch.setattr(ray_executor.ray, "get", lambda reference, timeout: reference())
        return Replicas(random.Random(chance))

    return make


@pytest.mark.parametrize("count", [2, 4])
def test_what_goes_side_by_side_meets_different_replicas(replicas_of, count):
    """Whatever chance says, though both are chosen at the same moment: neither replica has heard of anything."""
    asked, go_on = [], threading.Barrier(2, timeout=30)

    def run(name, pictures):
        asked.append(name)
        go_on.wait()
        return pictures

    for chance in range(20):
        replicas = replicas_of(count, run, chance, go_on.wait)
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(lambda each: replicas.ask(DIGEST, each, 30), [1, 2])) == [1, 2]  # noqa: B023
        assert len(set(asked)) == 2
        asked.clear()


def test_a_replica_that_has_answered_is_not_busy_any_more(replicas_of):
    """Nor one that broke: over many requests each is asked about as often."""
    asked = []

    def run(name, pictures):
        asked.append(name)
        if pictures == "broken":
            raise ray_executor.RayTaskError("run", "", ValueError())
        return pictures

    replicas = replicas_of(2, run)
    for _ in range(20):
        assert replicas.ask(DIGEST, "whole", 30) == "whole"
        with pytest.raises(ClusterError, match="ValueError"):
            replicas.ask(DIGEST, "broken", 30)
    assert min(asked.count(name) for name in set(asked)) >= 10
    assert not any(replicas._under_way.values())
