"""The composition root: who may come in, and a node that starts and stops cleanly."""

import datetime
import socket

import pytest

from dicom_node import app
from dicom_node.admission import AssociationRequest
from dicom_node.app import Node, check_cascade
from dicom_node.auditor import auditor_of
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import SettingsError, StoreError
from dicom_node.domain.study import InstanceKind
from dicom_node.doorkeeping import admission
from dicom_node.peers import echo
from dicom_node.pull_settings import CatchUpSection
from dicom_node.pull_sources import PullAudit, catch_up, catch_up_tasks
from dicom_node.receiving import Receiver
from dicom_node.settings import load_settings
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.study_folders import StudyFolders
from dicom_node.transfers import Receptions
from dicom_node.upkeep_settings import RetainSection
from tests.builders.command import write_config
from tests.builders.network import HOST
from tests.builders.studies import STUDY, delivering, receive

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Of a node without model packages, whose worker nobody wakes: it has tests of its own and takes long to start."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "none").mkdir()
    return load_settings(config, {"DICOM_NODE_MODELS__FOLDER": str(tmp_path / "none")})


def request(calling="PACS", called="AINODE", address=HOST, open_associations=0):
    """An association request."""
    return AssociationRequest(calling, called, address, open_associations)


def test_a_known_peer_comes_in(settings):
    """By AE title and address."""
    assert admission(settings, request()) is None


def test_a_host_may_have_a_name(tmp_path):
    """It stands for every address it has."""
    config, _ = write_config(tmp_path, 4242)
    config.write_text(config.read_text().replace(f"PACS, host: {HOST}", "PACS, host: localhost"))
    assert admission(load_settings(config, {}), request()) is None


@pytest.mark.parametrize(
    ("asked", "numbers", "told"),
    [
        (request(calling="OTHER"), (1, 1, 3), "receive.from"),
        (request(called="NODE"), (1, 1, 7), "node: {ae_title: NODE}"),
        (request(address="192.0.2.1"), (1, 1, 3), "peers.PACS.host"),
        (request(open_associations=32), (2, 3, 2), "node.maximum_associations"),
    ],
)
def test_everyone_else_is_refused_with_the_setting_that_would_let_him_in(settings, asked, numbers, told):
    """The standard's numbers for the peer, a sentence for the log."""
    refusal = admission(settings, asked)
    assert (refusal.result, refusal.source, refusal.diagnostic) == numbers
    assert told in f"{refusal.reason}; {refusal.remedy}"


def committing(tmp_path, *, senders="CT1"):
    """Settings of a node whose PACS is to commit to what it gets."""
    config, _ = write_config(tmp_path, 4242)
    text = config.read_text().replace("port: 4242}", "port: 4242, commitment: request}")
    text = text.replace("receive:", f"  CT1: {{ae_title: CT1, host: {HOST}, port: 104}}\nreceive:")
    config.write_text(text.replace("from: [PACS]", f"from: [{senders}]"))
    return load_settings(config, {})


def test_a_peer_that_is_to_report_comes_in_from_its_address(tmp_path):
    """Even if it may not send; but it is none of those that may ask."""
    settings = committing(tmp_path)
    assert (settings.proving, settings.reporting) == ({"PACS"}, {"PACS"})
    assert admission(settings, request()) is None
    assert "peers.PACS.host" in admission(settings, request(address="192.0.2.1")).reason
    assert [app.calling_sender(settings, request(calling=each)) for each in ("PACS", "CT1")] == [None, "CT1"]
    assert app.calling_sender(settings, request(calling="CT1", address="192.0.2.1")) is None
    both = committing(tmp_path, senders="CT1, PACS")
    assert app.calling_sender(both, request()) == "PACS"


def test_what_a_peer_is_to_prove_is_not_removed_before(tmp_path):
    """However old: its deliveries are only sent."""
    settings = committing(tmp_path).model_copy(update={"retain": RetainSection(days=1.0)})
    settings.node.storage.mkdir()
    store, folders = Store.open(settings.database), StudyFolders(settings.node.storage)
    delivering(store, "SR")
    for delivery in store.due(now=300.0):
        store.sent(delivery.delivery_id, status=0, now=301.0)
    [task] = app.retention_tasks(settings, store, folders, lambda: 1e9)
    task.run()
    assert len(store.studies()) == 1
    [other] = app.retention_tasks(
        settings.model_copy(update={"peers": dict.fromkeys(settings.peers, settings.peers["CT1"])}),
        store,
        folders,
        lambda: 1e9,
    )
    other.run()
    assert store.studies() == ()
    store.close()


def test_a_host_nobody_knows_lets_nobody_in(tmp_path, monkeypatch):
    """A name that does not resolve is no address, and no error either."""

    def unresolved(host, _port):
        assert host == "nowhere.invalid"
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    config, _ = write_config(tmp_path, 4242)
    config.write_text(config.read_text().replace(f"PACS, host: {HOST}", "PACS, host: nowhere.invalid"))
    refusal = admission(load_settings(config, {}), request())
    assert (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 3)
    assert "peers.PACS.host (unknown)" in refusal.reason


def test_studies_are_removed_only_where_a_limit_is_set(settings, tmp_path):
    """As shipped everything stays; with a limit, what is done with and old goes, files and rows."""
    storage = settings.node.storage
    storage.mkdir()
    store, folders = Store.open(settings.database), StudyFolders(storage)
    assert app.retention_tasks(settings, store, folders, lambda: 1e9) == ()
    receive(store, 1, kind=InstanceKind.NOT_AN_IMAGE)
    (storage / "spool" / STUDY).mkdir(parents=True)
    limited = settings.model_copy(update={"retain": RetainSection(days=1.0)})
    [task] = app.retention_tasks(limited, store, folders, lambda: 100.0 + 86401.0)
    task.run()
    assert store.studies() == ()
    assert list((storage / "spool").iterdir()) == []
    store.close()


def test_peers_are_asked_for_what_never_arrived_only_where_that_is_set(settings):
    """As shipped nobody is; otherwise once a day."""
    node = Node(settings)
    try:
        receiver = Receiver(Spool(settings.node.storage), node.store, app.classify)
        audit = PullAudit(auditor_of(settings, node.store), Receptions())
        assert catch_up_tasks(settings, catch_up(settings, node.store, receiver, audit, lambda: 0.0)) == ()
        asking = settings.model_copy(update={"catch_up": CatchUpSection(peers=("PACS",), at="23:45")})
        [task] = catch_up_tasks(asking, catch_up(asking, node.store, receiver, audit, lambda: 0.0))
    finally:
        node.stop()
    assert task.when == datetime.time(23, 45)


def test_what_a_broken_removal_left_is_deleted_at_the_start(settings):
    """Killed between the commit and the deletion."""
    left = settings.node.storage / "removed" / "1f" / "spool" / "1.2.dcm"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    Node(settings).stop()
    assert list((settings.node.storage / "removed").iterdir()) == []


def test_a_node_answers_between_start_and_stop(settings):
    """And can be started again on the same folder."""
    here = Destination("node", "AINODE", HOST, settings.node.port)
    for _ in range(2):
        node = Node(settings)
        assert node.address == f"AINODE@{HOST}:{settings.node.port}"
        node.start()
        try:
            echo(here, "PACS")
        finally:
            node.stop()


def test_one_folder_has_one_node(settings):
    """The second is told where the first works."""
    node = Node(settings)
    try:
        with pytest.raises(StoreError, match=f"another dicom-node works in {settings.node.storage}"):
            Node(settings)
    finally:
        node.stop()


def test_a_taken_port_leaves_nothing_behind(settings):
    """The node says so, and lets go of its folder."""
    with socket.socket() as other:
        other.bind((HOST, settings.node.port))
        other.listen()
        node = Node(settings)
        with pytest.raises(OSError, match="in use"):
            node.start()
        node.stop()
    Node(settings).stop()


def test_a_storage_that_cannot_be_is_told(tmp_path):
    """A file where a folder should be."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "var").write_text("")
    with pytest.raises(StoreError, match=r"set node\.storage"):
        Node(load_settings(config, {}))


def test_a_cascade_that_cannot_be_followed_is_a_fault_of_the_settings(tmp_path):
    """With its file, before any model is loaded."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "cascade.yaml").write_text("stages: []")
    settings = load_settings(config, {"DICOM_NODE_MODELS__CASCADE": str(tmp_path / "cascade.yaml")})
    with pytest.raises(SettingsError, match=r"(?s)cascade\.yaml: stages: .*models\.cascade") as caught:
        check_cascade(settings)
    assert len(caught.value.faults) == 1


def test_the_shipped_cascade_can_be_followed(settings):
    """By the packages that are shipped, and by none."""
    check_cascade(settings)
