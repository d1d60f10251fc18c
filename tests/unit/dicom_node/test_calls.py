"""Who called: held in memory, kept in the database, both bounded."""

import pytest

from dicom_node.calls import CallBook
from dicom_node.domain.calls import Call, CallOutcome, RefusedContext
from dicom_node.store import Store
from dicom_node.store.calls import MOST_KEPT


def call(calling="STRANGER", at=100.0, outcome=CallOutcome.REJECTED, **changes):
    """One call."""
    told = {"reason": "nobody knows it", "remedy": "name it", **changes}
    return Call(calling, "192.0.2.9", "AINODE", outcome, first_at=at, last_at=at, **told)


@pytest.fixture
def store(tmp_path):
    """An empty database."""
    opened = Store.open(tmp_path / "node.db")
    yield opened
    opened.close()


def test_calls_alike_are_one_row(tmp_path, store):
    """With the first time, the last time and how often; reason and refused contexts of the last; still so when the
    database is opened again."""
    refused = (RefusedContext("1.2.840.10008.5.1.4.31", ("1.2.840.10008.1.2", "1.2.3"), 3),)
    book = CallBook(store.calls)
    for at in (100.0, 101.0):
        book.note(call(at=at))
    book.flush()
    book.note(call(at=102.0, reason="still nobody", refused=refused))
    book.note(call(at=103.0, outcome=CallOutcome.ACCEPTED))
    book.flush()
    book.flush()
    again = Store.open(tmp_path / "node.db")
    accepted, rejected = again.calls.latest()
    again.close()
    assert accepted == call(at=103.0, outcome=CallOutcome.ACCEPTED)
    assert (rejected.first_at, rejected.last_at, rejected.count) == (100.0, 102.0, 3)
    assert (rejected.reason, rejected.refused) == ("still nobody", refused)


def test_a_flood_of_strangers_is_bounded_and_drives_out_no_friend(store):
    """In memory between two turns, and in the database."""
    book = CallBook(store.calls)
    book.note(call("PACS", at=1.0, outcome=CallOutcome.ACCEPTED))
    book.flush()
    for turn in range(3):
        for number in range(400):
            book.note(call(f"S{turn}-{number}", at=10.0 + turn))
        book.flush()
    kept = store.calls.latest()
    assert len(kept) == MOST_KEPT + 1
    assert kept[-1].calling_ae_title == "PACS"
    assert {each.last_at for each in kept[:-1]} == {12.0}
    assert len(store.calls.latest(5)) == 5
