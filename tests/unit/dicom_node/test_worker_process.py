"""What the worker process puts together before it takes jobs."""

from types import SimpleNamespace

from dicom_node import cluster, engine, pipeline, worker, worker_process
from dicom_node.settings import load_settings
from tests.builders.analyses import EQUIPMENT
from tests.builders.command import write_config


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
    """The shelf that analyses get is the one that asks the cluster."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "var").mkdir()
    here, there, stopped, analysed = {"unet": "here"}, {"unet": "there"}, [], []
    made = pipeline.Engine(load=None, cascade=None, shelf=here, equipment=EQUIPMENT, profiles={})

    def cluster_for(shelf, _settings, store):
        assert (shelf, store.destinations(now=0.0)) == (here, ())
        return there, SimpleNamespace(stop=lambda: stopped.append(True))

    class Taking:
        def __init__(self, analyse, **_others):
            self.analyse = analyse

        def take_one(self):
            self.analyse("1.2.3", (), None, ())
            return False

        def get_warm(self, _warm):
            pass

        def wait(self, _is_told):
            pass

    for module, name, stand_in in (
        (worker_process.signal, "signal", lambda *_: None),
        (worker_process, "tell_without_messages", lambda: None),
        (worker_process, "configure_logging", lambda _level: None),
        (engine, "build_engine", lambda _settings: made),
        (cluster, "cluster_for", cluster_for),
        (worker, "Worker", Taking),
        (pipeline, "analyse_study", lambda *arguments: analysed.append(arguments[2].shelf)),
    ):
        monkeypatch.setattr(module, name, stand_in)
    worker_process._main(load_settings(config, {"DICOM_NODE_RUNTIME__WORK_AHEAD": "false"}), Pipe(), None)
    assert set(map(id, analysed)) == {id(there)}
    assert stopped == [True]
