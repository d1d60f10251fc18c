"""SOP classes that peers refuse, and what is made in their place."""

from __future__ import annotations

from dataclasses import dataclass

#: So long a refusal is believed. Then the peer is asked once more: it may have been upgraded.
REMEMBERED_S = 86400.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A peer refuses a SOP class, and something takes its place."""

    sop_class_uid: str
    #: In the peer's words, or why nothing was sent.
    reason: str
    #: In words.
    in_its_place: str


@dataclass(frozen=True, slots=True)
class Substitution:
    """Results of a job that are made anew for a peer. Times are seconds since the epoch, UTC."""

    job_id: int
    peer: str
    #: That the peer refuses.
    sop_class_uid: str
    #: What it gets, in words.
    in_its_place: str
    asked_at: float
    #: None: the worker has yet to make it.
    made_at: float | None
