"""What follows from proofs of storage: decisions of values alone, and the data sets they come from."""

import random
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_node.commitment import (
    FIRST_DEADLINE_S,
    LONGEST_DEADLINE_S,
    MOST_QUERIES,
    ask_again,
    by_query,
    by_report,
    deadline_s,
    judge,
    without_report,
)
from dicom_node.commitment_messages import (
    ALL_KEPT,
    FAILURES_EXIST,
    MalformedMessage,
    event_type,
    report_dataset,
    report_of,
    request_dataset,
    request_of,
)
from dicom_node.domain.commitment import (
    CommitmentReport,
    CommitmentRequest,
    FailureReason,
    Fate,
    Holding,
    Reference,
    Unproven,
    Verdict,
)
from dicom_node.domain.delivery import RetryPolicy

HOUR_S = 3600.0
POLICY = RetryPolicy(72 * HOUR_S, random.Random(1))
NOW = 1e6


def unproven(number, **changes):
    """One that was sent and asked for once."""
    fields = {"transaction_uid": "2.25.1", "asked": 1, "failing_since": None, "missing_since": None}
    return Unproven(number, "PACS", "1.2", "1.3", Reference("1.4", f"1.5.{number}"), **(fields | changes))


def report(kept=(), failed=()):
    """On those numbers; failed ones with reason 0112."""
    return CommitmentReport(
        "2.25.1",
        tuple(unproven(number).reference for number in kept),
        tuple((unproven(number).reference, 0x0112) for number in failed),
    )


def test_a_report_decides_on_what_it_names():
    """What it calls kept and failed at once has failed; what it does not name still waits."""
    awaited = [unproven(number) for number in (1, 2, 3)]
    verdicts = by_report(report(kept=(1, 2, 9), failed=(2,)), awaited, "PACS", POLICY, NOW)
    assert [(each.delivery_id, each.fate) for each in verdicts] == [(1, Fate.COMMITTED), (2, Fate.SEND_AGAIN)]
    assert verdicts[1].reason == "PACS does not keep it: 0x0112, no such object instance"
    assert NOW < verdicts[1].due_at <= NOW + 3
    assert {each.transaction_uid for each in verdicts} == {"2.25.1"}


@pytest.mark.parametrize(
    ("hours", "fate"), [(None, Fate.SEND_AGAIN), (71.9, Fate.SEND_AGAIN), (72, Fate.DEAD), (500, Fate.DEAD)]
)
def test_what_is_missing_for_too_long_is_dead(hours, fate):
    """However long there was no word before: that is not the object's fault."""
    since = None if hours is None else NOW - hours * HOUR_S
    [verdict] = by_report(
        report(failed=(1,)), [unproven(1, missing_since=since, failing_since=0.0)], "PACS", POLICY, NOW
    )
    assert verdict.fate is fate
    assert verdict.reason.startswith("in vain for 72 hours: ") == (fate is Fate.DEAD)


def test_a_query_finds_it_late_or_never():
    """An archive may take its time to index what it has; not for ever."""
    asked = [unproven(1), unproven(2, asked=MOST_QUERIES - 1), unproven(3, asked=MOST_QUERIES)]
    verdicts = by_query({"1.5.1"}, asked, "PACS", POLICY, NOW)
    assert [each.fate for each in verdicts] == [Fate.COMMITTED, Fate.ASK_AGAIN, Fate.SEND_AGAIN]


def test_without_a_word_it_is_asked_again_for_ever():
    """At once after a wait for a report, later after a failure; in the end the reason says how long that is so."""
    assert without_report([unproven(1)], "PACS", POLICY, NOW) == (
        Verdict(1, "2.25.1", Fate.ASK_AGAIN, "PACS did not report on the storage commitment request", NOW),
    )
    verdict = ask_again(unproven(1, asked=30, failing_since=NOW - 72 * HOUR_S), "away", POLICY, NOW)
    assert (verdict.fate, verdict.reason) == (Fate.ASK_AGAIN, "in vain for 72 hours: away")
    assert NOW + 600 <= verdict.due_at <= NOW + 750


def test_patience_grows_with_each_request():
    """Up to a day, so that a report that comes at night is in time."""
    assert [deadline_s(asked) for asked in (1, 2, 3)] == [FIRST_DEADLINE_S * factor for factor in (1, 2, 4)]
    assert deadline_s(9) == deadline_s(100_000) == LONGEST_DEADLINE_S


@pytest.mark.parametrize(
    ("holding", "is_on_disk", "reason"),
    [
        (("1.4", False), True, None),
        (None, False, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (("1.4", False), False, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (("1.9", False), True, FailureReason.CLASS_INSTANCE_CONFLICT),
        (("1.4", True), True, FailureReason.PROCESSING_FAILURE),
    ],
)
def test_the_node_promises_what_it_has(holding, is_on_disk, reason):
    """And says why not."""
    held = None if holding is None else Holding("1.2", holding[0], Path("/x"), holding[1])
    assert judge(Reference("1.4", "1.5.1"), held, is_on_disk=is_on_disk) == reason


def test_messages_come_back_as_they_were_written():
    """A sequence without items is left out."""
    request = CommitmentRequest("2.25.1", (unproven(1).reference,))
    assert request_of(request_dataset(request)) == request
    for each, kind, absent in (
        (report(kept=(1,)), ALL_KEPT, "FailedSOPSequence"),
        (report(failed=(1,)), FAILURES_EXIST, "ReferencedSOPSequence"),
    ):
        assert (report_of(report_dataset(each)), event_type(each)) == (each, kind)
        assert absent not in report_dataset(each)


def test_a_failure_without_a_reason_is_one():
    """Processing failure; the object is not kept."""
    dataset = report_dataset(report(failed=(1,)))
    del dataset.FailedSOPSequence[0].FailureReason
    assert report_of(dataset).failed == ((unproven(1).reference, 0x0110),)


def test_what_is_no_message_is_told():
    """By the attribute."""
    with pytest.raises(MalformedMessage, match="TransactionUID"):
        report_of(Dataset())
    empty = Dataset()
    empty.TransactionUID = "2.25.1"
    with pytest.raises(MalformedMessage, match="Referenced SOP Sequence"):
        request_of(empty)
