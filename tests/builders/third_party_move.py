"""A C-MOVE to somebody else: what a viewer asks of an archive, and the node never does."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context

from dicom_node.associations import check_status, open_association
from dicom_node.domain.delivery import Destination
from dicom_node.peers import STUDY_ROOT_MOVE


@dataclass(frozen=True, slots=True)
class MoveOutcome:
    """The sub-operations of one C-MOVE (PS3.4 C.4.2.1.6)."""

    status: int
    completed: int
    failed: int
    warning: int


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
