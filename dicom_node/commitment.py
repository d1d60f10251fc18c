"""What follows from proofs of storage, given and taken: decisions of values alone, each with its reason.

Nothing here touches clock, disk or network; times and what is on disk come in as arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dicom_node.domain.commitment import CommitmentReport, FailureReason, Fate, Holding, Reference, Unproven, Verdict
from dicom_node.domain.delivery import RetryPolicy, doubled_s, retry_delay_s

#: How long a report is waited for after the first request. An archive reports within seconds or minutes; for one that
#: does so at night the wait doubles with each request, up to a day.
FIRST_DEADLINE_S = 600.0
LONGEST_DEADLINE_S = 86400.0
#: Queries in vain, over some eight minutes, after which an object is not late in the index of its archive, but lost.
MOST_QUERIES = 8

#: Failure Reason (0008,1197), PS3.3 C.14.1.1.
_FAILURE_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class/instance conflict",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}


def deadline_s(asked: int) -> float:
    """How long the report on the `asked`-th request (1-based) is waited for."""
    return doubled_s(asked, FIRST_DEADLINE_S, LONGEST_DEADLINE_S)


def by_report(
    report: CommitmentReport, awaited: Sequence[Unproven], peer: str, policy: RetryPolicy, now: float
) -> tuple[Verdict, ...]:
    """What a report means for the deliveries it was asked for; those it does not name still wait for it.

    An object that it names as kept and as failed has failed.
    """
    failed = {reference.sop_instance_uid: reason for reference, reason in report.failed}
    kept = {reference.sop_instance_uid for reference in report.kept}
    verdicts = []
    for each in awaited:
        uid = each.reference.sop_instance_uid
        if uid in failed:
            name = _FAILURE_REASONS.get(failed[uid], "a reason of its own")
            verdicts.append(_missing(each, f"{peer} does not keep it: 0x{failed[uid]:04X}, {name}", policy, now))
        elif uid in kept:
            verdicts.append(Verdict(each.delivery_id, each.transaction_uid, Fate.COMMITTED))
    return tuple(verdicts)


def by_query(
    found: Collection[str], asked_for: Sequence[Unproven], peer: str, policy: RetryPolicy, now: float
) -> tuple[Verdict, ...]:
    """What a query means: `found` are the SOP Instance UIDs that the peer has of those asked for."""
    verdicts = []
    for each in asked_for:
        if each.reference.sop_instance_uid in found:
            verdicts.append(Verdict(each.delivery_id, each.transaction_uid, Fate.COMMITTED))
        elif each.asked < MOST_QUERIES:
            verdicts.append(ask_again(each, f"{peer} does not find it yet", policy, now))
        else:
            verdicts.append(_missing(each, f"{peer} does not find it, asked {each.asked} times", policy, now))
    return tuple(verdicts)


def without_report(awaited: Sequence[Unproven], peer: str, policy: RetryPolicy, now: float) -> tuple[Verdict, ...]:
    """What follows when the report did not come in time: the peer is asked once more, with more time."""
    return tuple(
        Verdict(
            each.delivery_id,
            each.transaction_uid,
            Fate.ASK_AGAIN,
            policy.told(each.failing_since, f"{peer} did not report on the storage commitment request", now),
            due_at=now,
        )
        for each in awaited
    )


def ask_again(each: Unproven, reason: str, policy: RetryPolicy, now: float) -> Verdict:
    """What follows when asking itself came to nothing, for `reason`."""
    return Verdict(
        each.delivery_id,
        each.transaction_uid,
        Fate.ASK_AGAIN,
        policy.told(each.failing_since, reason, now),
        due_at=now + retry_delay_s(each.asked, policy.jitter),
    )


def _missing(each: Unproven, reason: str, policy: RetryPolicy, now: float) -> Verdict:
    """It is sent again, or given up when that was so for too long."""
    told = policy.told(each.missing_since, reason, now)
    if policy.is_over(each.missing_since, now):
        return Verdict(each.delivery_id, each.transaction_uid, Fate.DEAD, told)
    due_at = now + retry_delay_s(1, policy.jitter)
    return Verdict(each.delivery_id, each.transaction_uid, Fate.SEND_AGAIN, told, due_at)


def judge(reference: Reference, holding: Holding | None, *, is_on_disk: bool) -> FailureReason | None:
    """Whether the node commits to an object: None when it does, else why not.

    It promises nothing about an object of which the same peer has sent two versions: one of them is set aside.
    """
    if holding is None or not is_on_disk:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if holding.sop_class_uid != reference.sop_class_uid:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    return FailureReason.PROCESSING_FAILURE if holding.contradicted else None
