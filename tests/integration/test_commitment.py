"""Storage commitment over real associations, both ways: reports on the same and on others, silence, and restarts."""

import pytest

from dicom_node.commitment import FIRST_DEADLINE_S
from dicom_node.domain.delivery import Outgoing, ResultObject
from tests.builders.commitment import committing_node, committing_peer
from tests.builders.network import image_series
from tests.builders.studies import ANALYSED, STUDY, claimed

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def peer():
    """A PACS that is silent unless told otherwise."""
    with committing_peer() as peer:
        yield peer


@pytest.fixture
def node(tmp_path, peer):
    """It asks the PACS, and has sent it two results of one study."""
    with committing_node(tmp_path / "node", peer.destination) as node:
        send_two_results(node.store)
        yield node


def send_two_results(store):
    """Of one job, both sent."""
    headers = image_series()[:2]
    results = [
        ResultObject(f"/results/{header.SOPInstanceUID}.dcm", "MR", str(header.SOPClassUID), str(header.SOPInstanceUID),
                     str(header.SeriesInstanceUID)) for header in headers
    ]  # fmt: skip
    job = claimed(store)
    assert store.finish(
        job.job_id, "w1", **ANALYSED, results=[Outgoing(result, ("PACS",)) for result in results], now=210.0
    )
    for delivery in store.due(now=220.0):
        store.sent(delivery.delivery_id, status=0, now=221.0)


def fates(node):
    """The state of each delivery, in words."""
    return [delivery.state_in_words for delivery in node.store.history(STUDY).study.deliveries]


def test_a_report_on_the_same_association_commits(node, peer):
    """One request for both objects; the peer has its answer, and nothing is asked again."""
    peer.reports_at_once = True
    node.turn()
    assert fates(node) == ["committed", "committed"]
    [request] = peer.requests
    assert len(request.references) == 2
    assert peer.answers == [0x0000]
    node.turn(FIRST_DEADLINE_S)
    assert len(peer.requests) == 1
