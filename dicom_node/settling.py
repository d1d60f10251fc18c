"""Settles the studies that are complete, as far as anyone can tell: asks intake, tells the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from dicom_node.domain.study import StudyActivity
from dicom_node.intake import Holding, Patience, Settled, Waiting, is_settled

_LOGGER = logging.getLogger(__name__)


class SettlingStore(Protocol):
    """Where studies are received and settled."""

    def receiving(self) -> tuple[StudyActivity, ...]:
        """The studies that are not settled."""

    def settle(self, study_instance_uid: str, *, reason: str, now: float) -> None:
        """Have the study's job wait for a worker."""

    def note_waiting(self, study_instance_uid: str, *, reason: str) -> None:
        """Have the study's job say what it waits for."""


class Senders(Protocol):
    """What those who send a study are known to hold of it."""

    def about(self, activity: StudyActivity, *, is_open: bool, quiet_s: float) -> tuple[Holding, ...]:
        """Their latest answers; asks again as needed, and does not wait."""


@dataclass(frozen=True, slots=True)
class Settling:
    """What came of a look at the studies that are being received."""

    #: How many have settled.
    settled: int
    #: Those that have not.
    waiting: frozenset[str]
    #: Seconds until one of them will have been quiet for long enough; infinite if that will not be, or was long ago.
    next_quiet_s: float


def settle_complete_studies(
    store: SettlingStore,
    senders: Senders,
    patience_of: Callable[[StudyActivity], Patience],
    open_associations: Callable[[str], int],
    now: float,
    listening_since: float = 0.0,
) -> Settling:
    """Settle every study that is complete as far as anyone can tell.

    `open_associations` counts those that have sent images of a study and are still open. Before `listening_since`
    nobody could send: senders that the last stop cut off have as long to come again.
    """
    settled, waiting, next_quiet_s = 0, [], float("inf")
    for received in store.receiving():
        activity = replace(received, last_received_at=max(received.last_received_at, listening_since))
        study = activity.study_instance_uid
        still_open = open_associations(study)
        holdings = senders.about(activity, is_open=still_open > 0, quiet_s=now - activity.last_received_at)
        verdict = is_settled(activity, patience_of(activity), holdings, open_associations=still_open, now=now)
        if isinstance(verdict, Settled):
            store.settle(study, reason=verdict.reason, now=now)
            _LOGGER.info("Study %s is settled: %s", study, verdict.reason, extra={"action": "study_settled"})
            settled += 1
            continue
        waiting.append(study)
        quiet_s = patience_of(activity).quiet_seconds - (now - activity.last_received_at)
        next_quiet_s = min(next_quiet_s, quiet_s) if quiet_s > 0 else next_quiet_s
        if isinstance(verdict, Waiting) and verdict.peer_holds_more:
            store.note_waiting(study, reason=verdict.reason)
    return Settling(settled, frozenset(waiting), next_quiet_s)
