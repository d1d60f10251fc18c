"""Requests of a person beside a node that runs: another process writes them, the node finds them."""

import json

import pytest

from dicom_node import app
from dicom_node.app import Node
from dicom_node.domain.delivery import Outgoing, ResultObject
from dicom_node.settings import load_settings
from tests.builders.command import eventually, run, write_config
from tests.builders.network import free_port, image_series, running_node, saved
from tests.builders.studies import ANALYSED, STUDY, claimed

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def pacs_port():
    """Where nobody listens yet."""
    return free_port()


@pytest.fixture
def config(tmp_path, pacs_port):
    """Of a node that gives up at the second failure."""
    path, _ = write_config(tmp_path, pacs_port)
    path.write_text(path.read_text().replace("to: [PACS]", "to: [PACS], give_up_after_hours: 0.000001"))
    return path


@pytest.fixture
def node(config, monkeypatch):
    """It runs, and has no worker."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    node = Node(load_settings(config, {}))
    node.start()
    yield node
    node.stop()


def answered(node, path):
    """Have the node deliver the file at `path` as the result of a study."""
    header = image_series()[0]
    result = ResultObject(path, "MR", str(header.SOPClassUID), path.stem, str(header.SeriesInstanceUID))
    job = claimed(node.store)
    assert node.store.finish(job.job_id, "w1", **ANALYSED, results=[Outgoing(result, ("PACS",))], now=210.0)


def state(node):
    """How the study stands."""
    return node.store.history(STUDY).study.state


def test_a_dead_result_arrives_after_resend(node, config, pacs_port, tmp_path):
    """The PACS was away for too long; it is back, a person says so, and the study is done. It is sent once."""
    path = saved(image_series()[0], tmp_path / "made")
    answered(node, path)
    assert eventually(lambda: state(node) == "failed")
    assert node.store.history(STUDY).study.deliveries[0].reason.startswith("in vain for 1e-06 hours: no connection")
    with running_node(tmp_path / "pacs", port=pacs_port) as pacs:
        told = run("resend", STUDY, "--config", config, "--json")
        assert (told.returncode, json.loads(told.stdout)["changed"]) == (0, True), told.stderr
        assert eventually(lambda: state(node) == "done")
        assert [instance.sop_instance_uid for instance in pacs.stored] == [path.stem]
    actions = [event.action for event in node.store.events(STUDY)]
    assert actions[-6:] == ["dead", "failed", "pending", "delivering", "sent", "done"]


def test_a_study_is_forgotten_beside_a_node_that_delivers_it(node, config, tmp_path):
    """The node loses its next try, and works on."""
    answered(node, saved(image_series()[0], tmp_path / "made"))
    told = run("forget", STUDY, "--config", config)
    assert told.returncode == 0, told.stderr
    assert node.store.studies() == ()
    assert node.store.due(now=1e12) == ()
    answered(node, saved(image_series()[1], tmp_path / "made"))
    assert eventually(lambda: state(node) == "failed")
