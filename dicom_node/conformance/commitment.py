"""What the statement says of storage commitment, both roles: read off the parts that do it."""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.commitment import FIRST_DEADLINE_S, LONGEST_DEADLINE_S, MOST_QUERIES
from dicom_node.commitment_messages import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from dicom_node.commitment_scp import MOMENT_S
from dicom_node.commitment_scu import MOST_OBJECTS, WAIT_S
from dicom_node.conformance.network import Status
from dicom_node.domain.commitment import FailureReason
from dicom_node.store.promises import MOST_OPEN
from dicom_node.upkeep_settings import RetainSection

_WHEN = {
    FailureReason.PROCESSING_FAILURE: "the same peer has sent other content under this UID, which is set aside",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "it was not received, or is not on the disk any more",
    FailureReason.CLASS_INSTANCE_CONFLICT: "it was received under another SOP Class UID",
}


@dataclass(frozen=True, slots=True)
class CommitmentFacts:
    """Of one configuration; times in seconds."""

    #: Days and 10^9 bytes after which retention removes what was committed to; None: without that limit.
    kept_days: float | None
    kept_gb: float | None
    sop_class_uid: str = STORAGE_COMMITMENT
    instance_uid: str = WELL_KNOWN_INSTANCE
    most_objects: int = MOST_OBJECTS
    most_open: int = MOST_OPEN
    most_queries: int = MOST_QUERIES
    wait_s: float = WAIT_S
    moment_s: float = MOMENT_S
    first_deadline_s: float = FIRST_DEADLINE_S
    longest_deadline_s: float = LONGEST_DEADLINE_S
    #: Every Failure Reason that is reported.
    failures: tuple[Status, ...] = tuple(Status(f"{each:04X}", "", _WHEN[each]) for each in FailureReason)


def commitment_facts(retain: RetainSection) -> CommitmentFacts:
    """What holds where studies are kept for so long."""
    return CommitmentFacts(retain.days, retain.maximum_gb)
