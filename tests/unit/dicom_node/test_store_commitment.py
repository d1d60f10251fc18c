"""Proofs and promises in the database: what counts once, what ends them, and what waits for them."""

import sqlite3
from dataclasses import replace

import pytest

from dicom_node.domain.commitment import CommitmentRequest, Fate, Reference, RequestRefusal, Verdict
from dicom_node.store import Store, promises
from dicom_node.study_tables import history_json, history_tables
from tests.builders.studies import OTHER, STUDY, delivering, instance, receive

T1, T2 = "2.25.1", "2.25.2"


@pytest.fixture
def path(tmp_path):
    """A database that does not exist yet."""
    return tmp_path / "node.db"


@pytest.fixture
def store(path):
    """A store of its own."""
    store = Store.open(path)
    yield store
    store.close()


def sent(store, *modalities, peers=("PACS",), study=STUDY):
    """A study whose results have arrived."""
    delivering(store, *modalities, peers=peers, study=study)
    for delivery in store.due(now=220.0):
        store.sent(delivery.delivery_id, status=0, now=221.0)


def asked(store, transaction=T1, now=300.0):
    """What the PACS is asked for, in one request."""
    store.proofs.await_from("PACS", now=now)
    due = store.proofs.due_from("PACS", now=now, most=100)
    return store.proofs.ask(due, transaction, due_at=now + 600)


def verdicts(deliveries, fate, reason="", due_at=0.0):
    """The same for all."""
    return [Verdict(each.delivery_id, each.transaction_uid, fate, reason, due_at) for each in deliveries]


def states(store, study=STUDY):
    """Of the deliveries, in words."""
    return [delivery.state_in_words for delivery in store.history(study).study.deliveries]


def state(store, study=STUDY):
    """How the study stands."""
    return store.history(study).study.state


def rows(path, sql):
    """Rows of the file itself."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_job_is_asked_for_when_it_is_sent_as_a_whole(store):
    """Nothing of it while some of it waits; another peer's part does not matter."""
    delivering(store, "SEG", "SR", peers=("PACS", "ARC"))
    for delivery in store.due(now=220.0):
        if (delivery.peer, delivery.path.stem) != ("PACS", "SR1") and delivery.peer == "PACS":
            store.sent(delivery.delivery_id, status=0, now=221.0)
    store.proofs.await_from("PACS", now=222.0)
    assert store.proofs.due_from("PACS", now=1e9, most=100) == ()
    [last] = [delivery for delivery in store.due(now=223.0) if delivery.peer == "PACS"]
    store.sent(last.delivery_id, status=0, now=224.0)
    store.proofs.await_from("PACS", now=225.0)
    due = store.proofs.due_from("PACS", now=225.0, most=100)
    assert [(each.reference.sop_instance_uid, each.study_instance_uid) for each in due] == [
        ("2.25.1SEG", STUDY), ("2.25.1SR", STUDY),
    ]  # fmt: skip
    assert len(store.proofs.due_from("PACS", now=225.0, most=1)) == 1


def test_a_request_is_recorded_before_it_is_made(store, path):
    """Another process would find it."""
    sent(store, "SEG", "SR")
    assert [(each.asked, each.transaction_uid) for each in asked(store)] == [(1, T1), (1, T1)]
    other = Store.open(path)
    assert other.proofs.asked_for(T1) == store.proofs.asked_for(T1) == asked_again(store)
    other.close()
    assert store.proofs.due_from("PACS", now=899.0, most=100) == ()


def asked_again(store):
    """What is late, at the time of the deadline."""
    return store.proofs.due_from("PACS", now=900.0, most=100)


def test_a_proof_counts_once(store):
    """The delivery is committed with its event; nothing more is known of its transaction."""
    sent(store, "SEG", "SR")
    committed = verdicts(asked(store), Fate.COMMITTED)
    assert store.proofs.judged(committed, now=310.0) == 2
    assert states(store) == ["committed", "committed"]
    assert [event.action for event in store.events(STUDY)][-2:] == ["committed", "committed"]
    before = store.history(STUDY)
    assert store.proofs.judged(committed, now=311.0) == 0
    assert store.history(STUDY) == before
    assert asked(store) == ()


def test_a_verdict_on_an_earlier_request_does_not_count(store):
    """Neither for nor against."""
    sent(store, "SEG")
    first = asked(store)
    assert store.proofs.judged(verdicts(first, Fate.ASK_AGAIN, "silence", 900.0), now=900.0) == 1
    asked(store, T2, now=900.0)
    for fate in Fate:
        assert store.proofs.judged(verdicts(first, fate, "late", 901.0), now=901.0) == 0
    assert states(store) == ["sent, not yet committed"]
    assert [each.asked for each in store.proofs.asked_for(T2)] == [2]


def test_only_a_reason_that_is_news_is_an_event(store):
    """It shows in the status all the same."""
    sent(store, "SEG")
    for turn in range(3):
        due = asked(store, f"2.25.{turn}", now=300.0 + turn)
        store.proofs.judged(verdicts(due, Fate.ASK_AGAIN, "silence", 301.0 + turn), now=301.0 + turn)
    assert [event.action for event in store.events(STUDY)].count("unproven") == 1
    [delivery] = store.history(STUDY).study.deliveries
    assert (delivery.reason, delivery.is_unproven) == ("silence", True)
    assert [each.failing_since for each in store.proofs.due_from("PACS", now=1e9, most=1)] == [301.0]


def test_what_is_not_kept_is_sent_again_alone(store):
    """The study delivers again, and is done again; what the peer keeps is not sent twice."""
    sent(store, "SEG", "SR")
    seg, sr = asked(store)
    store.proofs.judged(
        [*verdicts([seg], Fate.COMMITTED), *verdicts([sr], Fate.SEND_AGAIN, "not kept", 305.0)], now=300.0
    )
    assert (states(store), state(store)) == (["committed", "pending"], "delivering")
    assert store.due(now=304.0) == ()
    [due] = store.due(now=305.0)
    assert (due.path.stem, due.attempt, due.failing_since) == ("SR1", 2, None)
    store.sent(due.delivery_id, status=0, now=306.0)
    assert state(store) == "done"
    [again] = asked(store, T2, now=306.0)
    assert (again.asked, again.missing_since) == (1, 300.0)
    store.proofs.judged(verdicts([again], Fate.DEAD, "never kept"), now=400.0)
    assert (states(store), state(store)) == (["committed", "dead"], "failed")
    assert "never kept" in store.history(STUDY).study.reason
    assert asked(store, now=1e9) == ()


def test_a_person_begins_anew(store):
    """What is sent again by request waits for no earlier report."""
    sent(store, "SEG")
    first = asked(store)
    store.resend(STUDY, peer=None, everything=True, now=310.0)
    assert store.proofs.asked_for(T1) == ()
    store.sent(first[0].delivery_id, status=0, now=311.0)
    assert store.proofs.judged(verdicts(first, Fate.COMMITTED), now=312.0) == 0
    assert [(each.asked, each.missing_since) for each in asked(store, T2, now=313.0)] == [(1, None)]


def test_what_was_sent_before_the_setting_is_proved_as_well(store):
    """And nothing is, once the setting is gone."""
    sent(store, "SEG", peers=("PACS", "ARC"))
    assert len(asked(store)) == 1
    assert states(store) == ["sent, not yet committed", "sent"]
    store.proofs.await_only_from({"ARC"})
    assert states(store) == ["sent", "sent"]


def test_local_copies_stay_until_the_proof(store):
    """Where the peer is to prove; a person may remove them all the same."""
    sent(store, "SEG", peers=("PACS", "ARC"))
    deliveries = asked(store)
    assert [study.study_instance_uid for study in store.left_alone(proving=())] == [STUDY]
    assert store.left_alone(proving={"PACS"}) == ()
    assert not store.expire(STUDY, why="old", discard=lambda *_: None, now=1e6, proving={"PACS"})
    store.proofs.judged(verdicts(deliveries, Fate.COMMITTED), now=310.0)
    assert store.left_alone(proving={"PACS", "ARC"}) == ()
    assert store.expire(STUDY, why="old", discard=lambda *_: None, now=1e6, proving={"PACS"})


def test_a_person_may_forget_what_is_not_proved(store, path):
    """Nothing of it is left to wait for."""
    sent(store, "SEG")
    deliveries = asked(store)
    assert store.forget(STUDY, discard=lambda *_: None, now=310.0).changed
    assert rows(path, "SELECT * FROM unproven") == []
    assert store.proofs.judged(verdicts(deliveries, Fate.COMMITTED), now=311.0) == 0


def test_people_and_machines_are_told_what_is_missing(store):
    """In the table and as JSON."""
    sent(store, "SEG")
    asked(store)
    history = store.history(STUDY)
    history = replace(history, study=replace(history.study, summary=None))
    cells = [cell for table in history_tables(history) for column in table.columns for cell in column.cells]
    assert {"sent, not yet committed", "1 PACS sent, not yet committed"} <= set(map(str, cells))
    assert '"is_unproven": true' in history_json(history)


def request(transaction=T1, *numbers):
    """For images of the study."""
    references = [Reference(each.sop_class_uid, each.sop_instance_uid) for each in map(instance, numbers or (1, 2))]
    return CommitmentRequest(transaction, tuple(references))


def test_a_promise_waits_until_it_is_told(store):
    """Then one event says so, and no UID of it stays."""
    receive(store, 1, 2)
    assert store.promises.record("PACS", request(), due_at=301.0) is None
    assert store.promises.due_to("PACS", now=300.0) == store.promises.due_to("OTHER", now=301.0) == ()
    [promise] = store.promises.due_to("PACS", now=301.0)
    assert (promise.peer, promise.request, promise.attempt, promise.failing_since) == ("PACS", request(), 1, None)
    store.promises.postpone(promise, due_at=310.0, now=301.0)
    [again] = store.promises.due_to("PACS", now=310.0)
    assert (again.attempt, again.failing_since) == (2, 301.0)
    store.promises.close(again, [(each, "kept") for each in promise.request.references], now=311.0)
    assert store.promises.due_to("PACS", now=1e9) == ()
    assert [(event.action, event.reason) for event in store.events(STUDY)][-1] == ("promised", "2 objects: kept")


def test_a_transaction_uid_stands_for_one_request_of_one_peer(store):
    """The same again is that one."""
    outcomes = [
        store.promises.record(peer, asked_for, due_at=300.0)
        for peer, asked_for in (
            ("PACS", request()), ("PACS", request()), ("OTHER", request()), ("PACS", request(T1, 3)),
        )
    ]  # fmt: skip
    assert outcomes == [None, None, None, RequestRefusal.IN_USE]
    assert len(store.promises.due_to("PACS", now=300.0)) == 1


def test_a_peer_cannot_fill_the_database(store, monkeypatch):
    """Beyond the bound it is refused, until something is reported on; others are not."""
    monkeypatch.setattr(promises, "MOST_OPEN", 1)
    assert store.promises.record("PACS", request(T1), due_at=300.0) is None
    assert store.promises.record("PACS", request(T2), due_at=300.0) is RequestRefusal.TOO_MANY
    assert store.promises.record("OTHER", request(T2), due_at=300.0) is None
    store.promises.close(store.promises.due_to("PACS", now=300.0)[0], [], now=301.0)
    assert store.promises.record("PACS", request(T2), due_at=300.0) is None


def test_who_may_not_ask_any_more_is_dropped(store, path):
    """With what it asked for."""
    store.promises.record("PACS", request(), due_at=300.0)
    store.promises.record("OTHER", request(), due_at=300.0)
    assert store.promises.keep_only_of({"PACS"}) == ("OTHER",)
    assert rows(path, "SELECT peer, count(*) FROM promise JOIN promise_item USING (promise_id)") == [("PACS", 2)]


def test_what_is_held_is_told_with_the_callers_own_conflict(store):
    """Another caller's does not count."""
    receive(store, 1)
    receive(store, 1, study=OTHER)
    uid = instance(1).sop_instance_uid
    store.record_instance(instance(1, digest="b"), calling_ae="CT1", now=300.0)
    found = {caller: store.promises.holding(uid, calling_ae_title=caller) for caller in ("PACS", "CT1")}
    assert {caller: holding.contradicted for caller, holding in found.items()} == {"PACS": False, "CT1": True}
    assert (found["PACS"].study_instance_uid, found["PACS"].path) == (STUDY, instance(1).path)
    assert store.promises.holding("1.2.3", calling_ae_title="PACS") is None
