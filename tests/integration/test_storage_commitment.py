"""Storage commitment over real associations, both ways: reports on the same and on others, silence, and restarts."""

from dataclasses import replace

import pytest
from pynetdicom import AE, evt

from dicom_node import commitment, commitment_scu
from dicom_node.commitment import FIRST_DEADLINE_S
from dicom_node.commitment_messages import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, request_dataset
from dicom_node.domain.commitment import CommitmentReport, CommitmentRequest, Proof, Reference
from dicom_node.domain.delivery import Destination, Outgoing, ResultObject
from dicom_node.peers import echo
from dicom_node.storage_scu import context_wish, open_storage
from tests.builders.command import eventually
from tests.builders.commitment import GIVE_UP_AFTER_S, committing_node, committing_peer
from tests.builders.network import HOST, free_port, image_series, running_archive, saved
from tests.builders.studies import ANALYSED, STUDY, claimed

MR = "1.2.840.10008.5.1.4.1.1.4"
TRANSACTION = "2.25.4711"

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def peer():
    """A PACS that is silent unless told otherwise."""
    with committing_peer() as peer:
        yield peer


@pytest.fixture
def impatient(monkeypatch):
    """No report is waited for on the association of the request."""
    monkeypatch.setattr(commitment_scu, "WAIT_S", 0.0)


@pytest.fixture
def node(tmp_path, peer):
    """It asks the PACS, and has sent it two results of one study."""
    with committing_node(tmp_path / "node", peer.destination) as node:
        send_two_results(node.store)
        yield node


def send_two_results(store, study=STUDY):
    """Of one job, both sent."""
    headers = image_series()[:2]
    results = [
        ResultObject(f"/results/{header.SOPInstanceUID}.dcm", "MR", str(header.SOPClassUID), str(header.SOPInstanceUID),
                     str(header.SeriesInstanceUID)) for header in headers
    ]  # fmt: skip
    job = claimed(store, study=study)
    outgoing = [Outgoing(result, ("PACS",)) for result in results]
    assert store.finish(job.job_id, "w1", **ANALYSED, results=outgoing, now=210.0)
    send_what_is_due(store)


def send_what_is_due(store, now=1e6):
    """The PACS takes all of it; how many."""
    due = store.due(now=now)
    for delivery in due:
        store.sent(delivery.delivery_id, status=0, now=now)
    return len(due)


def study_of(node, study=STUDY):
    """How it stands."""
    return node.store.history(study).study


def fates(node, study=STUDY):
    """The state of each delivery, in words."""
    return [delivery.state_in_words for delivery in study_of(node, study).deliveries]


def reasons(node):
    """Why they stand where they stand, each once."""
    return {delivery.reason for delivery in study_of(node).deliveries}


UNCOMMITTED = ["sent, not yet committed"] * 2


def test_a_report_on_the_same_association_commits(node, peer):
    """One request for both objects; the peer has its answer, and nothing is asked again."""
    peer.reports_at_once = True
    node.turn()
    assert fates(node) == ["committed", "committed"]
    [request] = peer.requests
    assert len(request.references) == 2
    assert eventually(lambda: peer.answers == [0x0000], 20)
    node.turn(FIRST_DEADLINE_S)
    assert len(peer.requests) == 1


def test_what_is_not_kept_is_sent_again_and_asked_for_again(node, peer):
    """Only that object, with the peer's reason; the study is delivering meanwhile, and committed in the end."""
    peer.reports_at_once = True
    _, second = (delivery.sop_instance_uid for delivery in study_of(node).deliveries)
    peer.failing[second] = 0x0112
    node.turn()
    assert fates(node) == ["committed", "pending"]
    assert study_of(node).deliveries[1].reason.endswith("does not keep it: 0x0112, no such object instance")
    assert study_of(node).state == "delivering"
    peer.failing.clear()
    node.turn()
    assert len(peer.requests) == 1  # it is not asked for before it is sent
    assert send_what_is_due(node.store) == 1
    node.turn(5)
    assert fates(node) == ["committed", "committed"]
    assert [len(request.references) for request in peer.requests] == [2, 1]
    assert study_of(node).state == "done"


def test_what_is_never_kept_is_dead_in_the_end(node, peer):
    """However often it is taken, after as long as deliveries are tried."""
    peer.reports_at_once = True
    peer.failing = {delivery.sop_instance_uid: 0x0110 for delivery in study_of(node).deliveries}
    node.turn()
    send_what_is_due(node.store)
    node.turn(GIVE_UP_AFTER_S - 1)
    assert fates(node) == ["pending", "pending"]
    send_what_is_due(node.store)
    node.turn(5)
    assert fates(node) == ["dead", "dead"]
    assert study_of(node).state == "failed"
    assert all("in vain for 1 hours" in reason and "0x0110" in reason for reason in reasons(node))


@pytest.mark.usefixtures("impatient")
def test_silence_is_told_and_asked_into_again(node, peer):
    """With another transaction and twice the patience; a report on the first one is late, and changes nothing."""
    node.turn()
    assert fates(node) == UNCOMMITTED
    node.turn(FIRST_DEADLINE_S - 1)
    assert (len(peer.requests), reasons(node)) == (1, {""})
    node.turn(1)
    node.turn()
    assert len(peer.requests) == 2
    assert reasons(node) == {f"{peer.destination} did not report on the storage commitment request"}
    assert [event.action for event in node.store.events(STUDY)][-2:] == ["unproven", "unproven"]
    assert peer.report_to(node.destination, peer.report_on(peer.requests[0])) == 0x0000
    assert fates(node) == UNCOMMITTED
    node.turn(2 * FIRST_DEADLINE_S - 1)
    assert len(peer.requests) == 2
    assert peer.report_to(node.destination, peer.report_on(peer.requests[1])) == 0x0000
    assert fates(node) == ["committed", "committed"]


@pytest.mark.usefixtures("impatient")
def test_a_report_finds_its_deliveries_after_a_restart(tmp_path, peer):
    """It comes on an association of the peer's own, where the node is SCU; the second time it changes nothing."""
    with committing_node(tmp_path / "node", peer.destination) as node:
        send_two_results(node.store)
        node.turn()
    with committing_node(tmp_path / "node", peer.destination) as node:
        report = peer.report_on(peer.requests[0])
        assert peer.report_to(node.destination, report) == 0x0000
        assert fates(node) == ["committed", "committed"]
        before = node.store.history(STUDY)
        assert peer.report_to(node.destination, report) == 0x0000
        assert node.store.history(STUDY) == before


def without(keyword):
    """Changes a report: it lacks an attribute."""
    return lambda dataset: delattr(dataset, keyword)


def with_text_for_uid(dataset):
    """Changes a report: its Transaction UID is none."""
    dataset.TransactionUID = "not a UID"


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("change", "how", "status"),
    [
        (lambda _: None, {"ae_title": "OTHER"}, 0x0000),
        (lambda dataset: setattr(dataset, "TransactionUID", "2.25.1"), {}, 0x0000),
        (lambda _: None, {"instance": "1.2.3"}, 0x0112),
        (lambda _: None, {"kind": 7}, 0x0113),
        (without("TransactionUID"), {}, 0x0115),
        (with_text_for_uid, {}, 0x0115),
        (lambda dataset: delattr(dataset.ReferencedSOPSequence[0], "ReferencedSOPInstanceUID"), {}, 0x0115),
    ],
)
def test_other_reports_are_answered_and_change_nothing(node, peer, change, how, status):
    """Of another peer, on what nobody asked for, and of no meaning."""
    node.turn()
    request = request_dataset(peer.requests[0])  # a report that all is kept looks the same
    change(request)
    assert peer.report_to(node.destination, request, **how) == status
    assert fates(node) == UNCOMMITTED


def test_a_peer_that_refuses_is_asked_again_later(node, peer):
    """Its status is told; the next request comes after seconds, not after the time for a report."""
    peer.status = 0x0213
    node.turn()
    assert len(peer.requests) == 1
    [reason] = reasons(node)
    assert "0x0213" in reason
    peer.status, peer.reports_at_once = 0x0000, True
    node.turn(5)
    assert fates(node) == ["committed", "committed"]


def test_a_peer_that_is_away_is_asked_again_later(tmp_path):
    """Nothing is lost over it, and a person is told."""
    away = Destination("PACS", "PACS", HOST, free_port())
    with committing_node(tmp_path / "node", away) as node:
        send_two_results(node.store)
        node.turn()
        assert fates(node) == UNCOMMITTED
        assert all("no connection" in reason for reason in reasons(node))
        with committing_peer(away.port) as peer:
            peer.reports_at_once = True
            node.turn(5)
        assert fates(node) == ["committed", "committed"]


def test_a_query_is_a_proof_too(tmp_path, monkeypatch):
    """What the archive finds is committed; what it does not find is looked for again, then sent again."""
    monkeypatch.setattr(commitment, "MOST_QUERIES", 2)
    first, second = image_series()[:2]
    with running_archive(tmp_path / "archive") as (_, destination):
        archive = replace(destination, name="PACS")
        store_at(archive, saved(first, tmp_path / "sent"))
        with committing_node(tmp_path / "node", archive, Proof.FIND) as node:
            study = str(first.StudyInstanceUID)
            send_two_results(node.store, study)
            node.turn()
            assert fates(node, study) == ["committed", "sent, not yet committed"]
            node.turn(5)
            assert fates(node, study) == ["committed", "pending"]
            store_at(archive, saved(second, tmp_path / "sent"))
            send_what_is_due(node.store)
            node.turn(5)
            assert fates(node, study) == ["committed", "committed"]


def store_at(destination, path):
    """C-STORE one file."""
    with open_storage(destination, "PACS", {context_wish(path)}) as sender:
        assert sender.send(path) == 0x0000


@pytest.fixture
def asked(tmp_path, peer):
    """A node that has three images of the PACS, and need not ask it for anything."""
    with committing_node(tmp_path / "node", peer.destination, Proof.NONE) as node:
        for image in image_series():
            store_at(node.destination, saved(image, tmp_path / "images"))
        yield node


def held():
    """References to the three images."""
    return tuple(Reference(str(each.SOPClassUID), str(each.SOPInstanceUID)) for each in image_series())


def association_to(node, ae_title="PACS", *contexts):
    """Of the PACS, for storage commitment."""
    entity = AE(ae_title=ae_title)
    for context in (STORAGE_COMMITMENT, *contexts):
        entity.add_requested_context(context)
    return entity.associate(node.destination.host, node.destination.port, ae_title="NODE")


def ask(association, references, transaction=TRANSACTION, action=1, instance=WELL_KNOWN_INSTANCE):
    """N-ACTION; its status."""
    request = request_dataset(CommitmentRequest(transaction, tuple(references)))
    status, _ = association.send_n_action(request, action, STORAGE_COMMITMENT, instance)
    return status.Status


def ask_and_go(node, references=None, **how):
    """On an association of its own; the status."""
    association = association_to(node)
    try:
        return ask(association, references or held(), **how)
    finally:
        association.release()


def test_the_node_commits_on_a_new_association(asked, peer):
    """Where it is the SCP; to what it has, and with a reason each to nothing else."""
    strange = (Reference(MR, "1.2.3"), Reference("1.2.840.10008.5.1.4.1.1.2", held()[0].sop_instance_uid))
    assert ask_and_go(asked, (*held(), *strange)) == 0x0000
    asked.turn()
    assert peer.reports == []
    asked.turn(1)
    assert peer.reports == [
        CommitmentReport(TRANSACTION, held(), ((strange[0], 0x0112), (strange[1], 0x0119))),
    ]
    asked.turn(1000)
    assert len(peer.reports) == 1
    [event] = [each for each in asked.store.events(str(image_series()[0].StudyInstanceUID)) if "3 obj" in each.reason]
    assert (event.action, "PACS@" in event.reason) == ("promised", True)


def test_the_node_reports_on_the_same_association_if_it_stays_open(asked, peer):
    """And only there."""
    association = association_to(asked)
    heard = []
    association.bind(*on_report(heard))
    assert ask(association, held()) == 0x0000
    asked.turn(1)
    association.release()
    assert [report.TransactionUID for report in heard] == [TRANSACTION]
    assert "FailedSOPSequence" not in heard[0]
    asked.turn(1000)
    assert peer.reports == []


def test_a_report_does_not_meet_a_request(asked, peer):
    """Where another request has just come, a third one may: the report goes elsewhere."""
    association = association_to(asked)
    heard = []
    association.bind(*on_report(heard))
    assert ask(association, held()) == 0x0000
    asked.clock.now += 0.5
    assert ask(association, held(), transaction="2.25.4712") == 0x0000
    asked.turn(0.5)
    assert ([report.transaction_uid for report in peer.reports], heard) == ([TRANSACTION], [])
    asked.turn(0.5)
    association.release()
    assert [report.TransactionUID for report in heard] == ["2.25.4712"]


def on_report(heard):
    """A handler that answers success."""

    def answer(event):
        heard.append(event.event_information)
        return 0x0000, None

    return evt.EVT_N_EVENT_REPORT, answer


def test_an_association_for_images_too_is_left_alone(asked, peer):
    """A C-STORE request might come where the answer to the report is expected."""
    association = association_to(asked, "PACS", MR)
    assert ask(association, held()) == 0x0000
    asked.turn(1)
    assert association.is_established
    association.release()
    assert len(peer.reports) == 1


def test_what_is_gone_from_the_disk_is_not_promised(asked, peer, tmp_path):
    """Nor is that of which the same peer sent another version."""
    images = image_series()
    other = images[1]
    other.PatientComments = "other"
    store_at(asked.destination, saved(other, tmp_path / "other"))
    [path] = (tmp_path / "node" / "spool").rglob(f"{images[0].SOPInstanceUID}.dcm")
    path.unlink()
    assert ask_and_go(asked) == 0x0000
    asked.turn(1)
    [report] = peer.reports
    assert report.kept == held()[2:]
    assert [reason for _, reason in report.failed] == [0x0112, 0x0110]


def test_a_promise_outlives_a_restart_and_an_absence(tmp_path):
    """The peer is away, the node is killed, both come back: the report arrives once."""
    port = free_port()
    away = Destination("PACS", "PACS", HOST, port)
    with committing_node(tmp_path / "node", away, Proof.NONE) as node:
        for image in image_series():
            store_at(node.destination, saved(image, tmp_path / "images"))
        assert ask_and_go(node) == 0x0000
        node.turn(1)
    with committing_node(tmp_path / "node", away, Proof.NONE) as node, committing_peer(port) as peer:
        peer.report_status = 0x0110
        node.turn(5)
        assert len(peer.reports) == 1  # and it could not keep it
        peer.report_status = 0x0000
        node.turn(10)
        node.turn(10)
        assert [report.kept for report in peer.reports] == [held()] * 2
        assert node.store.promises.due_to("PACS", now=1e9) == ()


def test_a_report_that_nobody_takes_is_given_up(tmp_path, caplog):
    """After as long as deliveries are tried; it stands in the study's events."""
    away = Destination("PACS", "PACS", HOST, free_port())
    with committing_node(tmp_path / "node", away, Proof.NONE) as node:
        store_at(node.destination, saved(image_series()[0], tmp_path / "images"))
        assert ask_and_go(node, held()[:1]) == 0x0000
        node.turn(1)
        node.turn(GIVE_UP_AFTER_S)
        assert node.store.promises.due_to("PACS", now=1e9) == ()
        reason = node.store.events(str(image_series()[0].StudyInstanceUID))[-1].reason
        assert "could not be answered; in vain for 1 hours" in reason
    assert "commitment_report_dead" in [getattr(record, "action", "") for record in caplog.records]


def test_a_final_refusal_of_the_report_ends_it(asked, peer):
    """Another try would be refused as well."""
    peer.report_status = 0x0211
    assert ask_and_go(asked) == 0x0000
    asked.turn(1)
    asked.turn(1000)
    assert len(peer.reports) == 1


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"instance": "1.2.3"}, 0x0112),
        ({"action": 2}, 0x0123),
        ({"transaction": ""}, 0x0115),
        ({"references": ()}, 0x0115),
    ],
)
def test_requests_without_sense_are_refused(asked, peer, how, status):
    """With the standard's statuses; nothing is recorded."""
    association = association_to(asked)
    assert ask(association, how.pop("references", held()), **how) == status
    association.release()
    asked.turn(1)
    assert peer.reports == []


def test_a_transaction_is_one_request(asked, peer):
    """The same again is the same; another one under its UID is refused."""
    assert [ask_and_go(asked), ask_and_go(asked), ask_and_go(asked, held()[:1])] == [0x0000, 0x0000, 0x0115]
    asked.turn(1)
    assert [report.kept for report in peer.reports] == [held()]


@pytest.mark.usefixtures("impatient")
def test_who_may_not_send_comes_in_to_report_only(tmp_path, peer):
    """It may not ask, nor store; it may verify."""
    with committing_node(tmp_path / "node", peer.destination, may_ask=False) as node:
        send_two_results(node.store)
        node.turn()
        association = association_to(node, "PACS", MR)
        assert [context.abstract_syntax for context in association.accepted_contexts] == [STORAGE_COMMITMENT]
        assert ask(association, held()) == 0x0124
        association.release()
        echo(node.destination, "PACS")
        assert peer.report_to(node.destination, peer.report_on(peer.requests[0])) == 0x0000
        assert fates(node) == ["committed", "committed"]
