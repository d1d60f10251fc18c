"""When a worker asks a cluster, when it does without, and who is told."""

import datetime
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from dicom_node.cluster import CLUSTER, Cluster, cluster_for
from dicom_node.domain.breaker import CLOSED
from dicom_node.domain.cluster import SIDE_BY_SIDE, ClusterError, Offer, after_failure, match
from dicom_node.domain.errors import StoreError
from dicom_node.engine import build_engine
from dicom_node.pipeline import analyse_study
from dicom_node.settings import load_settings
from inference.findings import Task
from inference.remote import lent
from tests.builders.command import write_config
from tests.builders.datasets import encoded, mr_series
from tests.builders.packages import write_package

NAME, DIGEST, OTHER = "unet", "d" * 64, "e" * 64
PICTURES = np.zeros((2, 1, 8, 8), np.float32)
ANSWER = np.ones((2, 1, 8, 8), np.float32)
SERVED = Offer({(NAME, DIGEST): 2})


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def __call__(self):
        """Seconds since the epoch."""
        return self.now


class Scripted:
    """A connection that does as it is told; an offer that is None has not come yet."""

    def __init__(self, offer=SERVED, answers=()):
        self.result = offer
        self.answers = list(answers)
        self.asked = []
        self.is_stopped = False

    @property
    def is_connecting(self):
        """Until there is an offer."""
        return self.result is None

    def offer(self, wait_s=0.0):
        """As scripted."""
        if not isinstance(self.result, Offer):
            raise self.result or ClusterError("not in time")
        return self.result

    def ask(self, digest, pictures):
        """The next answer; in the end always the same."""
        self.asked.append((digest, pictures))
        answer = self.answers.pop(0) if self.answers else ANSWER
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    def stop(self):
        """It is noted."""
        self.is_stopped = True


@pytest.fixture
def clock():
    """Stands still."""
    return Clock()


@pytest.fixture
def cluster_of(store, clock):
    """A started cluster that connects by these connections, one after the other."""

    def make(*connections, health=store, wanted=None):
        left = iter(connections)
        cluster = Cluster(wanted or {NAME: DIGEST}, lambda: next(left), health, clock)
        cluster.start()
        return cluster

    return make


def told(caplog):
    """The actions that were logged."""
    return [record.action for record in caplog.records if hasattr(record, "action")]


def test_a_cluster_that_answers_is_asked(cluster_of):
    """And gives its answer."""
    connection = Scripted()
    assert cluster_of(connection).ask(DIGEST, PICTURES) is ANSWER
    assert [digest for digest, _ in connection.asked] == [DIGEST]


def test_a_lost_cluster_is_told_once_and_not_asked_before_its_time(cluster_of, store, clock, caplog):
    """In the log and for `status`; each try that fails puts the next one off; the first answer ends it."""
    gone = ClusterError("no answer within 30 s")
    back = Scripted()
    cluster = cluster_of(Scripted(answers=[gone]), Scripted(offer=ClusterError("nobody there")), back)
    assert cluster.ask(DIGEST, PICTURES) is None
    [row] = store.destinations(now=clock.now)
    assert (row.peer, row.unreachable_since, row.reason) == (CLUSTER, 1000.0, "no answer within 30 s")
    assert cluster.ask(DIGEST, PICTURES) is None  # it is not due: nobody connects
    clock.now += 3.0
    assert cluster.ask(DIGEST, PICTURES) is None  # connects, and does not wait for that
    assert cluster.ask(DIGEST, PICTURES) is None  # nobody was there
    clock.now += 3.0
    assert cluster.ask(DIGEST, PICTURES) is None  # the second failure is waited out for longer
    clock.now += 3.0
    assert cluster.ask(DIGEST, PICTURES) is None
    assert cluster.ask(DIGEST, PICTURES) is ANSWER
    assert store.destinations(now=clock.now) == ()
    assert [action for action in told(caplog) if action != "cluster_ready"] == ["cluster_lost", "cluster_back"]


def test_a_connection_that_is_made_is_not_waited_for(cluster_of, clock):
    """Studies are computed here until the offer is in."""
    slow = Scripted(offer=None)
    cluster = cluster_of(Scripted(answers=[ClusterError("gone")]), slow)
    cluster.ask(DIGEST, PICTURES)
    clock.now += 3.0
    assert [cluster.ask(DIGEST, PICTURES) for _ in range(3)] == [None] * 3
    slow.result = SERVED
    assert cluster.ask(DIGEST, PICTURES) is ANSWER


def test_another_package_of_that_name_is_not_used(cluster_of, store, clock):
    """Neither the package nor, as it serves nothing else, the cluster; `status` has the remedy."""
    connection = Scripted(offer=Offer({(NAME, OTHER): 1}))
    assert cluster_of(connection).ask(DIGEST, PICTURES) is None
    assert connection.asked == []
    [row] = store.destinations(now=clock.now)
    assert "install and activate the same version there" in row.reason


def test_what_is_not_served_is_computed_here(cluster_of, caplog):
    """The cluster is asked for the rest, and the log says so once."""
    connection = Scripted()
    cluster = cluster_of(connection, wanted={NAME: DIGEST, "yolo": OTHER})
    assert cluster.ask(OTHER, PICTURES) is None
    assert cluster.ask(DIGEST, PICTURES) is ANSWER
    assert told(caplog) == ["cluster_ready"]
    assert "yolo is not served there" in caplog.text


def test_a_study_has_a_request_for_each_replica_under_way(cluster_of, clock):
    """Of its own package, and not without bound; none while the cluster is lost."""
    many = {(NAME, DIGEST): 3, ("yolo", DIGEST): 100, ("yolo", OTHER): 50, ("other", OTHER): 5}
    cluster = cluster_of(Scripted(Offer(many), [ClusterError("gone")]), wanted={NAME: DIGEST, "yolo": OTHER})
    assert (cluster.width(DIGEST), cluster.width(OTHER), cluster.width("f" * 64)) == (3, SIDE_BY_SIDE, 0)
    cluster.ask(DIGEST, PICTURES)
    assert cluster.width(DIGEST) == 0


def test_two_threads_that_lose_it_at_once_are_one_loss(cluster_of, store):
    """The second one's connection is gone already."""
    both = threading.Barrier(2)

    class Losing(Scripted):
        def ask(self, digest, pictures):
            both.wait(30)
            raise ClusterError("gone")

    first = Losing()
    cluster = cluster_of(first)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: cluster.ask(DIGEST, PICTURES), range(2))) == [None, None]
    assert first.is_stopped
    assert store.breaker(CLUSTER).failures == 1


def test_a_database_that_takes_no_record_stops_no_analysis(cluster_of, caplog):
    """It is told."""

    class Full:
        def breaker(self, _peer):
            return CLOSED

        def peer_fails(self, _peer, _breaker, *, now):
            raise StoreError(f"no room at {now}")

    assert cluster_of(Scripted(answers=[ClusterError("gone")]), health=Full()).ask(DIGEST, PICTURES) is None
    assert "cluster_not_recorded" in told(caplog)


def test_a_node_that_computes_alone_again_says_nothing_of_a_cluster(store, tmp_path):
    """Whatever was recorded when it had one."""
    config, _ = write_config(tmp_path, 4242)
    store.peer_fails(CLUSTER, after_failure(CLOSED, "gone", now=1.0, jitter=random.Random(1)), now=1.0)
    shelf = {}
    assert cluster_for(shelf, load_settings(config, {}), store) == (shelf, None)
    assert store.destinations(now=1.0) == ()


def test_an_offer_is_held_against_the_packages():
    """Name and digest must both fit."""
    found = match({"a": DIGEST, "b": DIGEST, "c": DIGEST}, Offer({("a", DIGEST): 2, ("a", OTHER): 1, ("b", OTHER): 3}))
    assert found.usable == {"a": 2}
    assert [problem[:8] for problem in found.problems] == ["b there ", "c is not"]
    assert found.told.startswith("serves a (2 replicas); b there is another one")


def test_tries_go_ever_further_apart(clock):
    """From the first failure on; since when it fails is kept."""
    breaker, waits = CLOSED, []
    for _ in range(12):
        breaker = after_failure(breaker, "gone", now=clock.now, jitter=random.Random(1))
        waits.append(breaker.next_try_at - clock.now)
        clock.now += 1
    assert breaker.since == 1000.0
    assert 2 <= waits[0] < 2.5
    assert waits[1] > waits[0]
    assert 600 <= waits[-1] <= 750


def test_nothing_that_identifies_anybody_leaves_the_node(cluster_of, tmp_path):
    """Of a study of a named patient the cluster gets the package's digest and the network's input, and nothing else."""
    config, _ = write_config(tmp_path, 4242)
    write_package(tmp_path / "models" / NAME, Task.SEGMENTATION)
    (tmp_path / "cascade.yaml").write_text(
        f"stages: [{{name: tumour, task: segmentation, package: {NAME}, question: tumour}}]\n"
    )
    with config.open("a") as file:
        file.write("models: {folder: models, cascade: cascade.yaml}\nruntime: {engine: torch, threads: 1}\n")
    engine = build_engine(load_settings(config, {}))
    digest = engine.shelf[NAME].package.digest
    connection = Scripted(Offer({(NAME, digest): 1}), answers=[ClusterError("asked enough")])
    cluster = cluster_of(connection, wanted={NAME: digest})
    pixels = np.add.outer(np.arange(9), 20 * np.add.outer(np.arange(48), np.arange(40)))
    series = mr_series(pixels.shape, pixels=pixels, PatientName="Quirk^Jane", PatientID="4711-XYZ")
    paths = [tmp_path / f"{number}.dcm" for number in range(len(series))]
    for path, dataset in zip(paths, series, strict=True):
        path.write_bytes(encoded(dataset))
    lending = replace(engine, shelf=lent(engine.shelf, cluster.ask))
    analysed = analyse_study(series[0].StudyInstanceUID, paths, lending, datetime.datetime.now(datetime.UTC))
    assert analysed.analysis.outcome == "complete"
    [(sent_digest, pictures)] = connection.asked
    assert (sent_digest, pictures.shape, pictures.dtype) == (digest, (8, 1, 64, 64), np.float32)
    bytes_sent = pickle.dumps((sent_digest, pictures))
    header = series[0]
    uids = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
    assert not [word for word in ("Quirk", "4711", *uids) if str(word).encode() in bytes_sent]
    assert b"Quirk" in paths[0].read_bytes()
