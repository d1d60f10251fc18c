"""Studies pulled from peers of three makes, by C-MOVE and by C-GET: what is missing comes, once, and is told."""

from contextlib import contextmanager
from functools import partial

import pytest

from dicom_node.app import classify
from dicom_node.domain.delivery import Destination
from dicom_node.domain.retrieval import Retrieve, StudyKeys
from dicom_node.domain.study import InstanceKind
from dicom_node.pulling import Puller, Source
from dicom_node.receiving import Receiver
from dicom_node.remote_studies import find_studies
from dicom_node.scp import Listener, StorageScp
from dicom_node.sending import send_folder
from dicom_node.spool import Spool
from dicom_node.store import Store
from tests.builders.datasets import ct_series
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
