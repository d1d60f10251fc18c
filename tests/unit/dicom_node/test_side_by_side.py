"""What the worker process puts together, and how its workers share it."""

import fcntl
import multiprocessing
import threading
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from dicom_node import pipeline, side_by_side
from dicom_node.domain.job import JobState
from dicom_node.pipeline import AnalysedStudy
from dicom_node.reader import LoadedStudy
from dicom_node.settings import load_settings
from dicom_node.store import Store
from dicom_node.worker_pipe import NONE_LEFT, READY
from inference.findings import Analysis
from inference.gpu import GpuNetwork
from tests.builders.analyses import EQUIPMENT
from tests.builders.command import eventually, write_config
from tests.builders.studies import receive

PATIENCE_S = 30.0


def is_at_the_front(storage):
    """Whether any worker is."""
    with (storage / "front.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class Pipe:
    """The node is gone when it is asked what to do."""

    def send_bytes(self, _message):
        """None is left."""

    def poll(self, _timeout=0.0):
        """Not yet."""
        return False

    def recv_bytes(self):
        """It has closed its end."""
        raise EOFError


def test_studies_are_analysed_with_the_clusters_models_and_it_is_let_go_of(monkeypatch, tmp_path):
    """The shelf that analyses get is the one that asks the cluster; others may claim meanwhile, and while none is done
    this worker looks for jobs alone."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "var").mkdir()
    front, here, there, stopped, analysed = [], {"unet": "here"}, {"unet": "there"}, [], []
    made = pipeline.Engine(load=None, cascade=None, shelf=here, equipment=EQUIPMENT, profiles={})

    def cluster_for(shelf, _settings, store):
        assert (shelf, store.destinations(now=0.0)) == (here, ())
        return there, SimpleNamespace(stop=lambda: stopped.append(True))

    def analyse_study(_study, _paths, engine, *_others):
        analysed.append(engine.shelf)
        front.append(is_at_the_front(tmp_path / "var"))

    class Taking:
        def __init__(self, analyse, **_others):
            self.analyse = analyse

        def take_one(self):
            front.append(is_at_the_front(tmp_path / "var"))
            if analysed:
                return False
            self.analyse("1.2.3", (), None, ())
            return True

        def get_warm(self, _warm):
            pass

        def wait(self, _is_told):
            front.append(is_at_the_front(tmp_path / "var"))

    bell = SimpleNamespace(ring=lambda: None)
    for name, stand_in in (
        ("build_engine", lambda _settings: made),
        ("cluster_for", cluster_for),
        ("Worker", Taking),
        ("analyse_study", analyse_study),
    ):
        monkeypatch.setattr(side_by_side, name, stand_in)
    side_by_side.work(load_settings(config, {"DICOM_NODE_RUNTIME__WORK_AHEAD": "false"}), Pipe(), bell, 1)
    assert set(map(id, analysed)) == {id(there)}
    assert stopped == [True]
    assert front == [True, False, True, True]


class Watched(GpuNetwork):
    """A GPU's network that computes nothing."""

    def __init__(self):
        self.sizes = []

    def __call__(self, pictures):
        """How many pictures it got at once."""
        self.sizes.append(len(pictures))
        return pictures


@dataclass
class Model:
    """A package with its network."""

    package: str
    network: object


def nothing_found(study):
    """Of a study that nothing could be read of: it is held."""
    return AnalysedStudy(Analysis(study, (), ()), (), LoadedStudy((), (), {}))


def test_workers_of_one_process_analyse_side_by_side_and_share_forward_passes(monkeypatch, tmp_path):
    """Two studies at once, each with its own answers; two more come after them, and all end with the pipe."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "var").mkdir()
    settings = load_settings(config, {"DICOM_NODE_RUNTIME__WORKERS": "2", "DICOM_NODE_RUNTIME__WORK_AHEAD": "false"})
    network, both, answers = Watched(), threading.Barrier(2), {}
    made = pipeline.Engine(None, None, {"unet": Model("unet", network)}, EQUIPMENT, {})

    def analyse_study(study, _paths, engine, *_others):
        both.wait(PATIENCE_S)
        pictures = torch.full((int(study[-1]), 1), float(study[-1]))
        answers[study] = engine.shelf["unet"].network(pictures).tolist() == pictures.tolist()
        return nothing_found(study)

    monkeypatch.setattr(side_by_side, "build_engine", lambda _settings: made)
    monkeypatch.setattr(side_by_side, "analyse_study", analyse_study)
    monkeypatch.setattr(side_by_side, "warm", lambda *_: None)
    monkeypatch.setattr(side_by_side, "COMPANY_S", PATIENCE_S)
    ours, theirs = multiprocessing.Pipe()
    with closing(Store.open(settings.database)) as store:
        for number in range(1, 5):
            receive(store, number, study=f"1.2.{number}")
            store.settle(f"1.2.{number}", reason="quiet", now=1000.0 + number)
        bell = SimpleNamespace(ring=lambda: None)
        process = threading.Thread(target=side_by_side.work, args=(settings, theirs, bell, 2), daemon=True)
        process.start()
        assert ours.recv_bytes() == READY
        assert ours.poll(PATIENCE_S)
        assert ours.recv_bytes() == NONE_LEFT
        assert eventually(lambda: {each.state for each in store.studies()} == {JobState.HELD}, PATIENCE_S)
    ours.close()
    process.join(PATIENCE_S)
    assert not process.is_alive()
    assert answers == {f"1.2.{number}": True for number in range(1, 5)}
    assert len(network.sizes) == 2
    assert sum(network.sizes) == 1 + 2 + 3 + 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_worker_that_breaks_off_ends_the_process_of_all():
    """So that the node notices, and starts another."""
    others = threading.Event()
    with pytest.raises(RuntimeError, match="broke off"):
        side_by_side.all_of([others.wait, lambda: 1 // 0, others.wait])
    others.set()
    for thread in threading.enumerate():  # what broke is told of when its thread ends, and belongs to this test
        if thread.name.startswith("worker-"):
            thread.join(PATIENCE_S)
    side_by_side.all_of([others.wait] * 3)
