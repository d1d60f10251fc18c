"""Studies pulled from peers of three makes, by C-MOVE and by C-GET: what is missing comes, once, and is told."""

import datetime
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from pynetdicom import evt

from dicom_node.app import classify
from dicom_node.associations import application_entity
from dicom_node.catch_up import CatchUp, Window
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import OutOfResources, PeerUnreachable
from dicom_node.domain.retrieval import Retrieve, StudyKeys
from dicom_node.domain.study import InstanceKind
from dicom_node.identifiers import retrieval
from dicom_node.peers import STUDY_ROOT_MOVE
from dicom_node.pulling import Puller, Source
from dicom_node.receiving import Receiver
from dicom_node.remote_studies import find_studies
from dicom_node.retrieve_scu import Retrieval
from dicom_node.scp import Listener, StorageScp
from dicom_node.sending import send_folder
from dicom_node.spool import Spool
from dicom_node.store import Store
from tests.builders.datasets import ct_series, mr_series
from tests.builders.network import HOST, free_port, image_series, let_all_in, running_archive, saved
from tests.builders.orthanc import running_orthanc
from tests.builders.qrscp import running_dcmqrscp

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
AINODE = "AINODE"


@contextmanager
def embedded(folder, here):
    """The archive of the demo."""
    with running_archive(folder, known=(here,)) as (_, destination):
        yield destination


@contextmanager
def orthanc(folder, here):
    """Orthanc."""
    port = free_port()
    with running_orthanc(folder, [here, Destination("tester", "TESTER", HOST, 104)], dicom_port=port):
        yield Destination("PACS", "PACS", HOST, port)


@contextmanager
def dcmqrscp(folder, here):
    """DCMTK's."""
    with running_dcmqrscp(folder, [here]) as destination:
        yield destination


class Node:
    """What of the node pulls, receives and records."""

    def __init__(self, folder):
        folder.mkdir()
        self.here = Destination("node", AINODE, HOST, free_port())
        self.store = Store.open(folder / "node.db")
        self.receiver = Receiver(Spool(folder, minimum_free_bytes=0), self.store, classify)

    def puller(self, peer, retrieve):
        """From that peer."""
        receive = partial(self.receiver.receive, now=100.0)
        return Puller(Source(peer, retrieve, AINODE), self.store, receive, lambda: 100.0)

    @contextmanager
    def listening(self):
        """As the destination of a C-MOVE."""
        scp = StorageScp(
            Listener(AINODE, HOST, self.here.port), self.receiver, let_all_in, lambda _: None, lambda _: None
        )
        scp.start()
        try:
            yield
        finally:
            scp.stop(grace_s=5.0)


@pytest.fixture
def node(tmp_path):
    """A node of its own."""
    node = Node(tmp_path / "node")
    yield node
    node.store.close()


def pulled(puller, uid, **how):
    """What came of pulling the one study of that UID."""
    with puller.query() as query:
        [study] = find_studies(query, StudyKeys(study_instance_uid=uid))
    progress = []
    outcome = puller.pull(study, (), progress.append, **how)
    return outcome, sum(progress)


@pytest.mark.parametrize("peer", [embedded, orthanc, dcmqrscp])
@pytest.mark.parametrize("retrieve", list(Retrieve))
def test_a_study_comes_whole_and_once(tmp_path, node, peer, retrieve):
    """All of two series; then nothing more; then, with one more image in one of the series, that series alone."""
    images = [*image_series(), *ct_series(StudyInstanceUID=image_series()[0].StudyInstanceUID)]
    uid, late = images[0].StudyInstanceUID, images.pop()
    for image in images:
        saved(image, tmp_path / "sent")
    saved(late, tmp_path / "late")
    with node.listening(), peer(tmp_path / "peer", node.here) as pacs:
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", pacs, "TESTER"))
        puller = node.puller(pacs, retrieve)
        first, progress = pulled(puller, uid)
        assert (first.wanted, first.here, first.arrived, first.problem) == (8, 0, 8, "")
        assert first.is_complete
        assert progress == 8
        again, progress = pulled(puller, uid)
        assert (again.wanted, again.here, again.arrived, progress) == (8, 8, 0, 0)
        assert all(sent.arrived for sent in send_folder(tmp_path / "late", pacs, "TESTER"))
        last, progress = pulled(puller, uid)
        assert (last.wanted, last.here, last.arrived, progress) == (9, 8, 1, 6)
    received = node.store.instances(uid)
    assert {each.kind for each in received} == {InstanceKind.IMAGE}
    assert {each.sop_instance_uid for each in received} == {image.SOPInstanceUID for image in (*images, late)}
    [activity] = node.store.receiving()
    assert activity.image_count == 9
    events = [event.reason for event in node.store.events(uid) if event.action == "pulled"]
    assert events == [f"{count} of {count} missing instances came from {pacs.name}" for count in (8, 1)]


def test_what_cannot_be_kept_is_told_as_missing(tmp_path, node, monkeypatch):
    """The peer hears the standard's status for it; the next try gets it, and only it is new."""
    uid = image_series()[0].StudyInstanceUID
    for image in image_series():
        saved(image, tmp_path / "sent")
    full, receive = {image_series()[1].SOPInstanceUID}, node.receiver.receive

    def keep_some(arrival, *, now):
        if arrival.sop_instance_uid in full:
            raise OutOfResources("disk nearly full")
        return receive(arrival, now=now)

    monkeypatch.setattr(node.receiver, "receive", keep_some)
    with embedded(tmp_path / "archive", node.here) as archive:
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", archive, "TESTER"))
        first, _ = pulled(node.puller(archive, Retrieve.GET), uid)
        assert (first.arrived, first.missing) == (2, 1)
        assert "status 0xB000, with 1 that failed" in first.problem
        full.clear()
        second, _ = pulled(node.puller(archive, Retrieve.GET), uid)
    assert (second.here, second.arrived, second.missing, second.problem) == (2, 1, 0, "")


def test_what_the_peer_does_not_offer_is_told(tmp_path, node):
    """No C-MOVE destination of our name; then nobody there at all."""
    uid = image_series()[0].StudyInstanceUID
    saved(image_series()[0], tmp_path / "sent")
    with running_archive(tmp_path / "archive") as (_, archive):
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", archive, "TESTER"))
        puller = node.puller(archive, Retrieve.MOVE)
        outcome, _ = pulled(puller, uid)
    assert (outcome.wanted, outcome.missing) == (1, 1)
    assert "0xA801" in outcome.problem
    away = puller.pull(outcome.study, (), lambda _: None)
    assert "no connection" in away.problem
    assert not away.is_complete


def test_stopping_ends_a_c_get(tmp_path, node):
    """The object that is being received is kept, the peer sends no other; what is missing is told. Then none begins."""
    uid = image_series()[0].StudyInstanceUID
    for image in image_series():
        saved(image, tmp_path / "sent")
    with embedded(tmp_path / "archive", node.here) as archive:
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", archive, "TESTER"))

        def receive(arrival):
            node.receiver.receive(arrival, now=100.0)
            puller.stop()

        puller = Puller(Source(archive, Retrieve.GET, AINODE), node.store, receive, lambda: 100.0)
        outcome, _ = pulled(puller, uid)
        assert (outcome.arrived, outcome.missing) == (1, 2)
        again, _ = pulled(puller, uid)
    assert "the node is stopping" in again.problem


def test_stopping_ends_a_c_move_that_nobody_answers(tmp_path, node):
    """At once, and not after ten minutes."""
    asked, leave = threading.Event(), threading.Event()

    def silent(_event):
        asked.set()
        leave.wait(60)
        yield None, None

    entity = application_entity("SILENT")
    entity.add_supported_context(STUDY_ROOT_MOVE)
    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, silent)])
    under_test = Retrieval(Destination("silent", "SILENT", HOST, server.socket.getsockname()[1]), AINODE)
    stopper = threading.Thread(target=lambda: asked.wait(60) and under_test.stop())
    stopper.start()
    try:
        with pytest.raises(PeerUnreachable, match="gave no answer to the C-MOVE"):
            list(under_test.move([retrieval("1.2")], lambda _: None))
        assert not leave.is_set()
    finally:
        leave.set()
        stopper.join()
        server.shutdown()


def test_the_catch_up_completes_studies_and_lets_removed_ones_go(tmp_path, node):
    """One never arrived, one arrived in part, one is forgotten afterwards; a second run changes nothing."""
    today = datetime.datetime.now().astimezone().strftime("%Y%m%d")
    never, partly, old = (
        mr_series((3, 8, 8), study=name, StudyDate=date)
        for name, date in (("never", today), ("partly", today), ("old", "20200101"))
    )
    for image in (*never, *partly, *old):
        saved(image, tmp_path / "sent")
    with embedded(tmp_path / "archive", node.here) as archive:
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", archive, "TESTER"))
        with node.listening():
            list(send_folder(saved(partly[0], tmp_path / "one"), node.here, "PACS"))
            node.store.settle(partly[0].StudyInstanceUID, reason="quiet", now=90.0)
            catching_up = CatchUp(
                {"PACS": node.puller(archive, Retrieve.MOVE)}, node.store, Window(2, ("MR",), 9), time.time
            )
            catching_up.run()
            counts = {study.study_instance_uid: study.image_count for study in node.store.studies()}
            assert counts == {never[0].StudyInstanceUID: 3, partly[0].StudyInstanceUID: 3}
            told = [event.reason for event in node.store.events(partly[0].StudyInstanceUID) if event.action == "pulled"]
            assert told == ["2 of 2 missing instances came from archive"]
            node.store.forget(never[0].StudyInstanceUID, discard=lambda *_: None, now=200.0)
            catching_up.run()
    [left] = node.store.studies()
    assert (left.study_instance_uid, left.image_count) == (partly[0].StudyInstanceUID, 3)
