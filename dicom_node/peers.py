"""What peers are asked, other than to store: verify, tell what they hold, have it sent."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.associations import check_status, open_association
from dicom_node.domain.delivery import Destination

#: SOP classes of PS3.4 Annex A and C.
VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")


@dataclass(frozen=True, slots=True)
class MoveOutcome:
    """The sub-operations of one C-MOVE (PS3.4 C.4.2.1.6)."""

    status: int
    completed: int
    failed: int
    warning: int


def verification_contexts() -> list[PresentationContext]:
    """What is proposed for a C-ECHO."""
    return [build_context(VERIFICATION)]


def echo(destination: Destination, own_ae_title: str) -> None:
    """C-ECHO (PS3.4 Annex A). Raises PeerUnreachable or PeerRefused."""
    with open_association(destination, own_ae_title, verification_contexts()) as association:
        response = association.send_c_echo()
    check_status(response, destination, "C-ECHO")


def find(destination: Destination, own_ae_title: str, query: Dataset) -> tuple[Dataset, ...]:
    """C-FIND, Study Root (PS3.4 C.4.1): the identifiers that match `query`, which names its QueryRetrieveLevel.

    Raises PeerUnreachable or PeerRefused.
    """
    matches: list[Dataset] = []
    status = Dataset()
    with open_association(destination, own_ae_title, [build_context(STUDY_ROOT_FIND)]) as association:
        for response, identifier in association.send_c_find(query, STUDY_ROOT_FIND):
            status = response
            if _is_pending(status) and identifier is not None:
                matches.append(identifier)
    check_status(status, destination, "C-FIND", query)
    return tuple(matches)


def move(destination: Destination, own_ae_title: str, query: Dataset, move_to: str) -> MoveOutcome:
    """C-MOVE, Study Root (PS3.4 C.4.2): have `destination` send what `query` names to the AE title `move_to`.

    Failed sub-operations are counted, not raised. Raises PeerUnreachable or PeerRefused when nothing was sent.
    """
    status = Dataset()
    with open_association(destination, own_ae_title, [build_context(STUDY_ROOT_MOVE)]) as association:
        for response, _ in association.send_c_move(query, move_to, STUDY_ROOT_MOVE):
            status = response
    counts = [int(status.get(f"NumberOf{kind}Suboperations", None) or 0) for kind in ("Completed", "Failed", "Warning")]
    if sum(counts) == 0:
        check_status(status, destination, "C-MOVE", query)
    return MoveOutcome(int(status.get("Status", 0xC000)), *counts)


def _is_pending(status: Dataset) -> bool:
    return status.get("Status") in {0xFF00, 0xFF01}
