"""Four peers, of which one is down, one takes nothing at first, and one is slow: the fourth is served at once, and all
catch up."""

import datetime
import threading
from contextlib import contextmanager

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from dicom_node.domain.delivery import Destination
from dicom_node.phantoms import phantom_studies
from dicom_node.sending import send_folder
from tests.builders.command import eventually, serving, write_config
from tests.builders.network import HOST, free_port, running_archive, saved

#: Longer than everybody else needs, and shorter than the node waits for an answer.
PATIENCE_S = 50.0
WHEN = datetime.datetime(2026, 11, 20, 11, 0, tzinfo=datetime.UTC)
# an association that the peer below aborts is one that pynetdicom leaves to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@contextmanager
def moody_peer(port):
    """A peer that answers 0xA700, then 0x0110, then aborts in mid-object, then takes with a warning; what it took."""
    moods = [0xA700, 0x0110, None]
    taken = []

    def store(event):
        mood = moods.pop(0) if moods else 0xB000
        if mood is None:
            event.assoc.abort()
            return 0xA700
        if mood == 0xB000:
            taken.append(event.request.AffectedSOPInstanceUID)
        return mood

    entity = AE(ae_title="MOODY")
    entity.supported_contexts = AllStoragePresentationContexts
    server = entity.start_server((HOST, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield taken
    finally:
        server.shutdown()


@contextmanager
def slow_peer(port):
    """A peer that answers nothing before it is told to; what it took, and how to tell it."""
    may_answer, taken = threading.Event(), []

    def store(event):
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0x0000 if may_answer.wait(PATIENCE_S) else 0xA700

    entity = AE(ae_title="SLOW")
    entity.supported_contexts = AllStoragePresentationContexts
    server = entity.start_server((HOST, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield taken, may_answer
    finally:
        may_answer.set()
        server.shutdown()


def test_one_dead_one_moody_and_one_slow_peer_delay_no_other(tmp_path):
    """The fourth has its report while the others wait, each with its reason; in the end everybody has it once."""
    ports = {name: free_port() for name in ("PACS", "DEAD", "MOODY", "SLOW")}
    config, port = write_config(tmp_path / "node", ports["PACS"])
    others = "".join(f"  {name}: {{ae_title: {name}, host: {HOST}, port: {ports[name]}}}\n" for name in list(ports)[1:])
    content = config.read_text().replace("receive:", f"{others}receive:")
    content = content.replace("deliver: {to: [PACS]}", "deliver: {to: [SLOW, DEAD, MOODY, PACS]}")
    (tmp_path / "none").mkdir()  # no model packages: every report says so, and takes no time
    config.write_text(content + "models: {folder: ../none}\n")
    study = next(study for study in phantom_studies(501, WHEN) if study.kind == "hand radiograph")
    uid = study.study_instance_uid
    for instance in study.instances:
        saved(instance, tmp_path / "sent")

    def waits(node, peer):
        return [each for each in node.study(uid).get("deliveries", []) if each["peer"] == peer and each["reason"]]

    with (
        running_archive(tmp_path / "pacs", port=ports["PACS"]) as (pacs, _),
        moody_peer(ports["MOODY"]) as taken,
        slow_peer(ports["SLOW"]) as (taken_slowly, may_answer),
        serving(config, port) as node,
    ):
        sent = send_folder(tmp_path / "sent", Destination("node", "AINODE", HOST, port), "PACS")
        assert all(result.arrived for result in sent)
        assert eventually(lambda: len(pacs.instances(uid)) == 1)
        assert eventually(lambda: bool(waits(node, "DEAD")))
        assert "no connection" in waits(node, "DEAD")[0]["reason"]
        assert eventually(lambda: len(taken_slowly) == len(taken) == 1)
        assert node.study(uid)["state"] == "delivering"
        may_answer.set()
        with running_archive(tmp_path / "dead", port=ports["DEAD"]) as (dead, _):
            assert eventually(lambda: node.study(uid)["state"] == "done"), node.study(uid)
            assert len(dead.instances(uid)) == len(pacs.instances(uid)) == len(taken) == len(taken_slowly) == 1
