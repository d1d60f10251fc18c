"""Settling by what the sender holds, over real associations: the embedded archive, DCMTK's, and one that hangs."""

import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from dicom_node import app
from dicom_node.app import Node
from dicom_node.domain.delivery import Outgoing, ResultObject
from dicom_node.holdings import instances_held
from dicom_node.peers import find
from dicom_node.sending import send_folder
from dicom_node.settings import load_settings
from dicom_node.storage_scu import ContextWish, open_storage
from sr_writer.provenance import derived_uid
from tests.builders.command import eventually
from tests.builders.dcmqrscp import running_dcmqrscp
from tests.builders.network import HOST, free_port, image_series, running_archive, saved

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

MR_WISH = ContextWish("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")


class IdleWorker:
    """In the place of the worker process, which takes long to start and is not needed to settle."""

    def __init__(self, _settings, _results):
        self.ticks = 0

    def tick(self):
        """Nobody works."""

    def stop(self, _grace_s):
        """Nothing to stop."""


def configuration(folder, peers, settle):
    """Of a node that receives from these peers, AE title -> port and further keys."""
    entries = "".join(f"  {name}: {{ae_title: {name}, host: {HOST}, {keys}}}\n" for name, keys in peers.items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.yaml"
    path.write_text(
        f"node: {{ae_title: AINODE, host: {HOST}, port: {free_port()}, storage: ./var}}\n"
        f"peers:\n{entries}receive: {{from: [{', '.join(peers)}]}}\ndeliver: {{to: []}}\nsettle: {settle}\n"
    )
    return load_settings(path, {})


@contextmanager
def running(settings, monkeypatch):
    """The whole node but its worker."""
    monkeypatch.setattr(app, "Workers", IdleWorker)
    node = Node(settings)
    node.start()
    try:
        yield node
    finally:
        node.stop()


@dataclass
class Hospital:
    """A PACS, a node that it sends to, and images."""

    node: Node
    pacs: object
    destination: object
    folder: object
    images: list = field(default_factory=image_series)

    def status(self, study=None):
        """How the study stands; None before anything came."""
        wanted = study or self.images[0].StudyInstanceUID
        return next((each for each in self.node.store.studies() if each.study_instance_uid == wanted), None)

    def reaches(self, state, reason=""):
        """Whether the study comes to stand so, with a reason that holds these words."""
        return eventually(lambda: (now := self.status()) is not None and now.state == state and reason in now.reason)

    def put(self, *numbers):
        """Images into the PACS."""
        self._send(self.destination, numbers, "MODALITY")

    def route(self, *numbers):
        """Images from the PACS to the node."""
        self._send(self.node_destination, numbers, self.destination.ae_title)

    @property
    def node_destination(self):
        """The node as the PACS calls it."""
        node = self.node._settings.node
        return type(self.destination)("node", node.ae_title, node.host, node.port)

    def _send(self, destination, numbers, calling):
        folder = self.folder / f"{calling}-{'-'.join(map(str, numbers))}"
        for number in numbers:
            saved(self.images[number], folder)
        assert all(result.arrived for result in send_folder(folder, destination, calling))


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """One with the embedded archive, and a node that would wait for a day if it could not ask."""
    with ExitStack() as stack:
        pacs, destination = stack.enter_context(running_archive(tmp_path / "pacs"))
        peers = {"ARCHIVE": f"port: {destination.port}, query: true"}
        settings = configuration(tmp_path / "node", peers, "{quiet_seconds: 86400}")
        node = stack.enter_context(running(settings, monkeypatch))
        yield Hospital(node, pacs, destination, tmp_path / "sent")


def test_what_the_pacs_holds_is_waited_for(hospital):
    """The reason says what is missing, until it comes; then the study settles at once, without any quiet time."""
    hospital.put(0, 1, 2)
    hospital.route(0, 1)
    assert hospital.reaches("receiving", "2 of 3 instances that ARCHIVE holds")
    hospital.route(2)
    assert hospital.reaches("ready", "3 of 3 instances that ARCHIVE holds")


def test_an_open_association_does_not_matter_when_two_answers_agree(hospital):
    """A PACS may keep it open for hours."""
    hospital.put(0, 1, 2)
    paths = [saved(image, hospital.folder / "kept open") for image in hospital.images]
    with open_storage(hospital.node_destination, "ARCHIVE", {MR_WISH}) as sender:
        for path in paths:
            sender.send(path)
        assert hospital.reaches("ready", "3 of 3 instances that ARCHIVE holds")
        assert hospital.node._scp.open_associations(hospital.images[0].StudyInstanceUID) == 1


def test_late_images_reopen_the_study_and_own_results_do_not_count(hospital):
    """A result in the PACS is no image that is missing, whether it came back or not; late images make a new job."""
    hospital.put(0, 1)
    hospital.route(0, 1)
    assert hospital.reaches("ready", "2 of 2")
    store, study = hospital.node.store, hospital.images[0].StudyInstanceUID
    job = store.claim("w", now=1e9, lease_s=60.0)
    result = image_series()[0]
    result.SOPInstanceUID = derived_uid("a report")
    path = saved(result, hospital.folder / "result")
    made = ResultObject(
        path, "SR", *(str(result[key].value) for key in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"))
    )
    assert store.finish(job.job_id, "w", outcome="complete", summary="{}", results=[Outgoing(made, ("ARCHIVE",))],
                        now=1e9)  # fmt: skip
    assert all(each.arrived for each in send_folder(path.parent, hospital.destination, "AINODE"))
    hospital.put(2)
    hospital.route(2)
    assert hospital.reaches("ready", "3 of 3 instances that ARCHIVE holds")
    assert len(hospital.pacs.instances(study)) == 4
    first, second = store.history(study).jobs
    assert (first.state, second.state) == ("delivering", "ready")


def test_dcmtk_is_counted_image_by_image(tmp_path, monkeypatch):
    """Its archive leaves the numbers empty."""
    with running_dcmqrscp(tmp_path / "pacs") as destination:
        count = partial(instances_held, find=partial(find, destination, "AINODE"))
        settings = configuration(
            tmp_path / "node", {"DCMQRSCP": f"port: {destination.port}, query: true"}, "{quiet_seconds: 86400}"
        )
        with running(settings, monkeypatch) as node:
            hospital = Hospital(node, None, destination, tmp_path / "sent")
            study = hospital.images[0].StudyInstanceUID
            assert count(study) == 0
            hospital.put(0, 1, 2)
            assert count(study) == 3
            hospital.route(0, 1)
            assert hospital.reaches("receiving", "2 of 3 instances that DCMQRSCP holds")
            hospital.route(2)
            assert hospital.reaches("ready", "3 of 3 instances that DCMQRSCP holds")


@contextmanager
def hanging_port():
    """Takes connections in and never says a word."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def test_a_silent_peer_falls_back_to_quiet_time_and_holds_up_nobody(tmp_path, monkeypatch):
    """Its own study settles by quiet time while the question hangs; that of another peer at once."""
    with ExitStack() as stack:
        silent = stack.enter_context(hanging_port())
        pacs, destination = stack.enter_context(running_archive(tmp_path / "pacs"))
        peers = {
            "SILENT": f"port: {silent}, query: true, settle: {{quiet_seconds: 0.1}}",
            "ARCHIVE": f"port: {destination.port}, query: true",
        }
        node = stack.enter_context(
            running(configuration(tmp_path / "node", peers, "{quiet_seconds: 86400}"), monkeypatch)
        )
        hospital = Hospital(node, pacs, destination, tmp_path / "sent")
        others = image_series("other")
        folder = tmp_path / "others"
        for each in others:
            saved(each, folder)
        assert all(each.arrived for each in send_folder(folder, hospital.node_destination, "SILENT"))
        hospital.put(0, 1, 2)
        hospital.route(0, 1, 2)
        assert hospital.reaches("ready", "3 of 3 instances that ARCHIVE holds")
        assert eventually(lambda: hospital.status(others[0].StudyInstanceUID).state == "ready")
        assert "none for" in hospital.status(others[0].StudyInstanceUID).reason
        assert any(thread.name == "ask SILENT" for thread in threading.enumerate())


def test_an_urgent_request_makes_an_urgent_study(hospital):
    """Priority high of the C-STORE request reaches the status."""
    hospital.put(0)
    path = saved(hospital.images[0], hospital.folder / "urgent")
    with open_storage(hospital.node_destination, "ARCHIVE", {MR_WISH}) as sender:
        assert sender._association.send_c_store(path, priority=1).Status == 0
    assert hospital.reaches("ready")
    assert hospital.status().urgency == "urgent"
