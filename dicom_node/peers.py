"""What peers are asked, other than to store: verify, tell what they hold, have it sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.associations import check_status, open_association
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import PeerRefused, PeerUnreachable

#: SOP classes of PS3.4 Annex A and C.
VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
_PENDING = frozenset({0xFF00, 0xFF01})


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


def query_contexts() -> list[PresentationContext]:
    """What is proposed for a C-FIND."""
    return [build_context(STUDY_ROOT_FIND)]


def echo(destination: Destination, own_ae_title: str) -> None:
    """C-ECHO (PS3.4 Annex A). Raises PeerUnreachable or PeerRefused."""
    with open_association(destination, own_ae_title, verification_contexts()) as association:
        response = association.send_c_echo()
    check_status(response, destination, "C-ECHO")


class Query:
    """Asks one peer over one association."""

    def __init__(self, association: Association, destination: Destination) -> None:
        self._association = association
        self._destination = destination

    def find(self, identifier: Dataset) -> tuple[Dataset, ...]:
        """C-FIND (PS3.4 C.4.1): the identifiers that match. Raises PeerUnreachable or PeerRefused."""
        matches: list[Dataset] = []
        status = Dataset()
        with explained(self._destination, "C-FIND"):
            responses = self._association.send_c_find(identifier, STUDY_ROOT_FIND)
        for status, match in responses:
            if status.get("Status") in _PENDING and match is not None:
                matches.append(match)
        check_status(status, self._destination, "C-FIND", identifier)
        return tuple(matches)


@contextmanager
def open_query(destination: Destination, own_ae_title: str) -> Iterator[Query]:
    """Raises PeerUnreachable or PeerRefused when there is no association."""
    with open_association(destination, own_ae_title, query_contexts()) as association:
        yield Query(association, destination)


def find(destination: Destination, own_ae_title: str, query: Dataset) -> tuple[Dataset, ...]:
    """One C-FIND on an association of its own, by `Query.find`. Raises PeerUnreachable or PeerRefused."""
    with open_query(destination, own_ae_title) as asked:
        return asked.find(query)


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


@contextmanager
def explained(destination: Destination, service: str) -> Iterator[None]:
    """What pynetdicom raises over a request that cannot be sent, as PeerUnreachable or PeerRefused."""
    try:
        yield
    except RuntimeError as error:  # pynetdicom's word for an association that is gone
        raise PeerUnreachable(f"{destination} ended the association") from error
    except ValueError as error:  # and for a presentation context that was not accepted
        raise PeerRefused(f"{destination} offers no {service}", transient=False) from error
