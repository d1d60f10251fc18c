"""What the worker process puts together before it takes jobs."""

import fcntl
import os
from types import SimpleNamespace

from dicom_node import cluster, engine, pipeline, worker, worker_process
from dicom_node.settings import load_settings
from tests.builders.analyses import EQUIPMENT
from tests.builders.command import write_config


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
    for module, name, stand_in in (
        (worker_process.signal, "signal", lambda *_: None),
        (worker_process, "tell_without_messages", lambda: None),
        (worker_process, "configure_logging", lambda _level: None),
        (engine, "build_engine", lambda _settings: made),
        (cluster, "cluster_for", cluster_for),
        (worker, "Worker", Taking),
        (pipeline, "analyse_study", analyse_study),
    ):
        monkeypatch.setattr(module, name, stand_in)
    worker_process._main(load_settings(config, {"DICOM_NODE_RUNTIME__WORK_AHEAD": "false"}), Pipe(), bell)
    assert set(map(id, analysed)) == {id(there)}
    assert stopped == [True]
    assert front == [True, False, True, True]


def test_a_workers_libraries_have_its_threads_and_these_sleep(monkeypatch):
    """The node's own environment is afterwards what it was."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with worker_process._environment(worker_process._for_libraries(3)):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("3", "passive")
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("OMP_WAIT_POLICY")) == ("7", None)
