"""The life of a job: one analysis of one settled study."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands; see TRANSITIONS for what may follow."""

    #: The study is still arriving.
    RECEIVING = "receiving"
    #: Settled; waits for a worker.
    READY = "ready"
    #: A worker holds a lease on it.
    RUNNING = "running"
    #: Analysed; result objects are on their way.
    DELIVERING = "delivering"
    #: Every delivery arrived, or there was nothing to deliver.
    DONE = "done"
    #: Waits for a person.
    HELD = "held"
    #: Gave up, with its reason.
    FAILED = "failed"


#: PS-independent: the node's own table. A pair that is not here is a programming error.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.RECEIVING: frozenset({JobState.READY}),
    # back to RECEIVING: a late image came before a worker did
    # to DELIVERING: late images came before its results were made anew, and the job they open makes them
    JobState.READY: frozenset({JobState.RUNNING, JobState.RECEIVING, JobState.DELIVERING}),
    # back to READY: its lease ran out, or it failed and may be tried again
    JobState.RUNNING: frozenset({JobState.DELIVERING, JobState.DONE, JobState.READY, JobState.HELD, JobState.FAILED}),
    # back to READY: a peer refuses a SOP class of its results, which are made anew for it
    JobState.DELIVERING: frozenset({JobState.DONE, JobState.FAILED, JobState.READY}),
    # back to DELIVERING: a person had results sent again
    JobState.DONE: frozenset({JobState.DELIVERING}),
    # back to READY: a person let it go on
    JobState.HELD: frozenset({JobState.READY}),
    JobState.FAILED: frozenset({JobState.READY, JobState.DELIVERING}),
}


def may_follow(now: JobState, then: JobState) -> bool:
    """Whether the table allows the step."""
    return then in TRANSITIONS[now]


#: A worker not heard of for so long is taken for dead, and its job given to another.
LEASE_S = 20.0
#: A job that failed this often is not tried again by itself.
MAXIMUM_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """One analysis of one settled study, as the worker claims it."""

    job_id: int
    study_instance_uid: str
    state: JobState
    #: How often it has been claimed, this time included.
    attempt: int
    #: Why it was judged settled, or why it stands where it stands.
    reason: str
    settled_at: float
