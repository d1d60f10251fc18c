"""A node's models on a Ray cluster of two raylets: the same answers, whatever dies; and here, while nobody answers."""

import logging
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from dicom_node.checks import Verdict, run_checks
from dicom_node.cluster import CLUSTER, Cluster, cluster_for, digests
from dicom_node.domain.job import JobState
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.engine import build_engine
from dicom_node.pipeline import analyse_study
from dicom_node.ray_process import RayProcess
from dicom_node.settings import load_settings
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.worker import Worker
from inference.findings import Task
from inference.remote import lent
from tests.builders.command import eventually, write_config
from tests.builders.datasets import encoded, mr_series
from tests.builders.packages import volume_of, write_package
from tests.builders.ray_cluster import RayCluster, needs_ray, ray_cluster, serving_replicas

needs_ray()

CASCADE = "stages: [{name: tumour, task: segmentation, package: unet, question: tumour}]\n"
#: Eight slices are a request.
STACK = volume_of(np.random.default_rng(4).normal(100, 30, (60, 48, 40)))


class Line:
    """A configuration, its models on this machine, and the cluster with the same."""

    def __init__(self, folder, cluster: RayCluster):
        write_package(folder / "models" / "unet", Task.SEGMENTATION)
        (folder / "cascade.yaml").write_text(CASCADE)
        (folder / "var").mkdir()
        self.cluster = cluster
        self.config, _ = write_config(folder, 4242)
        with self.config.open("a") as file:
            file.write(
                f"models: {{folder: {folder / 'models'}, cascade: {folder / 'cascade.yaml'}}}\n"
                f"runtime: {{executor: ray, address: '{cluster.address}', threads: 1, replicas: {{count: 2}}}}\n"
            )
        self.settings = load_settings(self.config, {})
        self.engine = build_engine(self.settings)
        self.model = self.engine.shelf["unet"]
        self.store = Store.open(self.settings.database)

    @contextmanager
    def asking(self):
        """The cluster as a worker has it."""
        shelf, cluster = cluster_for(self.engine.shelf, self.settings, self.store)
        try:
            yield shelf["unet"], cluster
        finally:
            cluster.stop()

    def unreachable(self):
        """What `status` says of the cluster; None: nothing."""
        found = [each for each in self.store.destinations(now=0.0) if each.peer == CLUSTER]
        return found[0].reason if found else None


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A head and a raylet of one core each, and a replica on each."""
    threads = torch.get_num_threads()
    with ray_cluster() as cluster:
        line = Line(tmp_path_factory.mktemp("ray"), cluster)
        cluster.start_head()
        cluster.add_raylet()
        with serving_replicas(line.config):
            yield line
        line.store.close()
    torch.set_num_threads(threads)


class Watched:
    """Asks the cluster, and has something happen when the third request is made; notes how many are under way."""

    def __init__(self, cluster: Cluster, happens=lambda: None):
        self._cluster = cluster
        self._happens = happens
        self._lock = threading.Lock()
        self._asked = self._under_way = self.most = 0
        self.answers = []

    def __call__(self, digest, pictures):
        """As `Ask` is."""
        with self._lock:
            self._asked += 1
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            if self._asked == 3:
                self._happens()
        answer = self._cluster.ask(digest, pictures)
        with self._lock:
            self._under_way -= 1
            self.answers.append(answer)
        return answer


def scores_with(line, cluster, happens=lambda: None):
    """Of every voxel, all of them answered by the cluster, two requests at a time."""
    watched = Watched(cluster, happens)
    scores = lent({"unet": line.model}, watched, cluster.width)["unet"].scores(STACK)
    assert len(watched.answers) == 8
    assert all(answer is not None for answer in watched.answers)
    assert watched.most == 2
    return scores


def test_a_cluster_gives_the_nodes_own_results_whatever_dies(line):
    """Bit for bit, with both replicas side by side, after one was killed in mid-study, and after a raylet was."""
    here = line.model.scores(STACK)
    assert {len(line.cluster.replicas(0)), len(line.cluster.replicas(1))} == {1}
    with line.asking() as (_, cluster):
        assert np.array_equal(scores_with(line, cluster), here)
        [replica] = line.cluster.replicas(1)
        assert np.array_equal(scores_with(line, cluster, replica.kill), here)
        assert np.array_equal(scores_with(line, cluster, lambda: line.cluster.kill_raylet(1)), here)
    assert line.unreachable() is None


def test_check_tells_what_the_cluster_serves(line):
    """In a line; where the packages differ, that, and what to do."""
    [check] = [each for each in run_checks(line.settings) if each.subject.startswith("Ray cluster")]
    assert (check.verdict, check.detail[:12]) == (Verdict.OK, "serves unet ")
    wanted = dict.fromkeys(digests(line.engine.shelf), "0" * 64)
    connection = RayProcess(line.cluster.address, 10)
    cluster = Cluster(wanted, lambda: connection, line.store, lambda: 0.0)
    cluster.start()
    assert cluster.ask("0" * 64, np.zeros((1, 1, 64, 64), np.float32)) is None
    assert "ray-serve" in line.unreachable()
    line.store.peer_answers(CLUSTER, now=0.0)


def study_to_do(line):
    """A settled study in the spool, and a worker that will take it."""
    spool = Spool(line.settings.node.storage, minimum_free_bytes=0)
    series = mr_series(
        (20, 48, 40), pixels=np.add.outer(np.arange(20), 20 * np.add.outer(np.arange(48), np.arange(40)))
    )
    for dataset in series:
        path = line.settings.node.storage / f"{dataset.SOPInstanceUID}.dcm"
        path.write_bytes(encoded(dataset))
        line.store.record_instance(
            Instance(dataset.SOPInstanceUID, dataset.SOPClassUID, "1.2.840.10008.1.2.1", dataset.SeriesInstanceUID,
                     dataset.StudyInstanceUID, InstanceKind.IMAGE, path, 10, dataset.SOPInstanceUID),
            calling_ae="PACS", now=1.0,
        )  # fmt: skip
    uid = series[0].StudyInstanceUID
    line.store.settle(uid, reason="quiet", now=2.0)
    return uid, spool


def test_a_study_ends_without_its_cluster_and_the_next_is_computed_there_again(line, caplog):
    """The loss is told once, in the log and by `status`; so is the return."""
    caplog.set_level(logging.WARNING, "dicom_node.cluster")
    with line.asking() as (model, cluster):
        line.cluster.stop()
        uid, spool = study_to_do(line)
        engine = replace(line.engine, shelf={"unet": model})

        def analyse(study, paths, when, earlier):
            return analyse_study(study, paths, engine, when, earlier)

        worker = Worker("w1", line.store, spool, analyse)
        assert worker.take_one()
        [job] = line.store.history(uid).jobs
        assert (job.state, job.outcome) == (JobState.DELIVERING, "complete"), line.store.history(uid)
        assert "gone" in line.unreachable()
        line.cluster.start_head(cpus=2)
        with serving_replicas(line.config):
            pictures = np.zeros((1, 1, 64, 64), np.float32)
            assert eventually(lambda: cluster.ask(line.model.package.digest, pictures) is not None)
            assert np.array_equal(scores_with(line, cluster), line.model.scores(STACK))
    assert line.unreachable() is None
    actions = [record.action for record in caplog.records if record.action in ("cluster_lost", "cluster_back")]
    assert actions == ["cluster_lost", "cluster_back"]
