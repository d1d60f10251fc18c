"""Settles the studies that have been quiet long enough: asks intake, tells the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from dicom_node.domain.study import StudyActivity
from dicom_node.intake import Settled, is_settled

_LOGGER = logging.getLogger(__name__)


class SettlingStore(Protocol):
    """Where studies are received and settled."""

    def receiving(self) -> tuple[StudyActivity, ...]:
        """The studies that are not settled."""

    def settle(self, study_instance_uid: str, *, reason: str, now: float) -> None:
        """Have the study's job wait for a worker."""


def settle_quiet_studies(
    store: SettlingStore, open_associations: Callable[[str], int], quiet_seconds: float, now: float
) -> int:
    """Settle every study that is complete as far as anyone can tell; how many there were.

    `open_associations` counts those that have sent images of a study and are still open.
    """
    settled = 0
    for activity in store.receiving():
        study = activity.study_instance_uid
        verdict = is_settled(activity, open_associations=open_associations(study), quiet_seconds=quiet_seconds, now=now)
        if isinstance(verdict, Settled):
            store.settle(study, reason=verdict.reason, now=now)
            _LOGGER.info("Study %s is settled: %s", study, verdict.reason, extra={"action": "study_settled"})
            settled += 1
    return settled
