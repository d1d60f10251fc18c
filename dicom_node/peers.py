"""What peers are asked, other than to store: verify, tell what they hold, have it sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.associations import check_status, open_association
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import PeerRefused, PeerUnreachable

#: SOP classes of PS3.4 Annex A and C.
VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
_PENDING = frozenset({0xFF00, 0xFF01})
#: After an answer pynetdicom's own thread reads once more; a request that goes out before may lose its first answer.
_BETWEEN_REQUESTS_S = 0.005
#: How often a C-FIND is sent when answers were lost all the same.
_TRIES = 3


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


#: Told of each query before it goes out: the peer's name in the configuration, the SOP class, the identifier.
OnQuery = Callable[[str, str, Dataset], None]


def to_nobody(_peer: str, _sop_class_uid: str, _identifier: Dataset) -> None:
    """Where nobody wants to know."""


class Query:
    """Asks one peer over one association, which tells it of each message that comes."""

    def __init__(self, association: Association, destination: Destination, on_query: OnQuery = to_nobody) -> None:
        self._association = association
        self._destination = destination
        self._on_query = on_query
        self._pending = 0
        association.bind(evt.EVT_DIMSE_RECV, self._came)

    def find(self, identifier: Dataset) -> tuple[Dataset, ...]:
        """C-FIND (PS3.4 C.4.1): the identifiers that match, all of them. Raises PeerUnreachable or PeerRefused."""
        self._on_query(self._destination.name, STUDY_ROOT_FIND, identifier)
        for _ in range(_TRIES):
            self._pending = 0
            matches = self._find(identifier)
            if len(matches) == self._pending:
                return matches
        raise PeerUnreachable(f"answers of {self._destination} to the C-FIND were lost; try again")

    def _find(self, identifier: Dataset) -> tuple[Dataset, ...]:
        matches: list[Dataset] = []
        status = Dataset()
        with requesting(self._destination, "C-FIND"):
            responses = self._association.send_c_find(identifier, STUDY_ROOT_FIND)
        for status, match in responses:
            if status.get("Status") in _PENDING and match is not None:
                matches.append(match)
        check_status(status, self._destination, "C-FIND", identifier)
        return tuple(matches)

    def _came(self, event: Event) -> None:
        """Count what pynetdicom may throw away: its own thread can take an answer before `send_c_find` gets to it."""
        self._pending += event.message.command_set.get("Status") in _PENDING


@contextmanager
def open_query(destination: Destination, own_ae_title: str, on_query: OnQuery = to_nobody) -> Iterator[Query]:
    """Raises PeerUnreachable or PeerRefused when there is no association."""
    with open_association(destination, own_ae_title, query_contexts()) as association:
        yield Query(association, destination, on_query)


def find(
    destination: Destination, own_ae_title: str, query: Dataset, on_query: OnQuery = to_nobody
) -> tuple[Dataset, ...]:
    """One C-FIND on an association of its own, by `Query.find`. Raises PeerUnreachable or PeerRefused."""
    with open_query(destination, own_ae_title, on_query) as asked:
        return asked.find(query)


@contextmanager
def requesting(destination: Destination, service: str) -> Iterator[None]:
    """What pynetdicom raises over a request that cannot be sent, as PeerUnreachable or PeerRefused."""
    time.sleep(_BETWEEN_REQUESTS_S)
    try:
        yield
    except RuntimeError as error:  # pynetdicom's word for an association that is gone
        raise PeerUnreachable(f"{destination} ended the association") from error
    except ValueError as error:  # and for a presentation context that was not accepted
        raise PeerRefused(f"{destination} offers no {service}", transient=False) from error
