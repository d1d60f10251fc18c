"""Retrieval as SCU, Study Root (PS3.4 Annex C): C-MOVE and C-GET, many over one association.

What a C-GET brings is received by the same `Receiver` as what comes in by C-STORE, and answered by the same rules.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role

from dicom_node.associations import check_status, open_association
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import OutOfResources, PeerUnreachable
from dicom_node.domain.retrieval import SubOperations
from dicom_node.identification import Arrival
from dicom_node.intake import IMAGE_STORAGE
from dicom_node.peers import STUDY_ROOT_MOVE, requesting
from dicom_node.store_answers import answer_to, arrival_of
from dicom_node.transfer_syntaxes import ACCEPTED

STUDY_ROOT_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")
#: Presentation context IDs are the odd numbers of one byte (PS3.8 9.3.2.2); one is that of the C-GET.
_MOST_STORAGE_CONTEXTS = 127
#: A peer need not tell how far it is (PS3.4 C.4.2.2.1), and may fetch a study from its long-term storage first.
_RETRIEVE_TIMEOUT_S = 600.0
#: How long a peer may take to end a C-GET that was cancelled.
_STOPPING_TIMEOUT_S = 5.0
_MESSAGE_ID = 1
_ENDED = ("Completed", "Failed", "Warning")

#: Told how many sub-operations have ended since the last time.
Progress = Callable[[int], None]


class Retrieval:
    """Has one peer send what identifiers name; `stop`, from another thread, ends it where it is, for good."""

    def __init__(self, destination: Destination, own_ae_title: str) -> None:
        self._destination = destination
        self._own_ae_title = own_ae_title
        self._lock = threading.Lock()
        self._association: Association | None = None
        self._receiving = False
        self._stopped = False

    def stop(self) -> None:
        """End the retrieval that is under way, and begin no other; an object that is being received is finished."""
        with self._lock:
            self._stopped = True
            if self._association is not None and not self._receiving:
                # what pynetdicom finds there when its time-out has come: it aborts, and `_counted` hears of no answer
                self._association.dimse.msg_queue.put((None, None))

    def move(self, identifiers: Iterable[Dataset], progress: Progress) -> Iterator[SubOperations]:
        """C-MOVE (PS3.4 C.4.2) of each to this node's own AE title, over one association; how each ended.

        Raises PeerUnreachable or PeerRefused.
        """
        with self._association_for(move_contexts()) as association:
            for identifier in identifiers:
                self._go_on()
                with requesting(self._destination, "C-MOVE"):
                    responses = association.send_c_move(identifier, self._own_ae_title, STUDY_ROOT_MOVE)
                yield self._counted(responses, "C-MOVE", progress)

    def get(
        self,
        identifiers: Iterable[Dataset],
        sop_classes: Collection[str],
        receive: Callable[[Arrival], object],
        progress: Progress,
    ) -> Iterator[SubOperations]:
        """C-GET (PS3.4 C.4.3) of each over one association, on which this node is SCP of the storage classes.

        `receive` is given what comes, and raises ReceiveError for what cannot be kept. Without `sop_classes` those of
        images are proposed. Raises PeerUnreachable or PeerRefused.
        """
        contexts = get_contexts(sop_classes)
        proposed = dict.fromkeys(str(context.abstract_syntax) for context in contexts[1:])
        roles = [build_role(uid, scp_role=True) for uid in proposed]
        sender = self._destination.ae_title

        def store(event: Event) -> Dataset:
            return answer_to(event, receive_one)

        def receive_one(event: Event) -> None:
            with self._one_reception(event.assoc):
                receive(arrival_of(event, sender))

        with self._association_for(contexts, roles, [(evt.EVT_C_STORE, store)]) as association:
            for identifier in identifiers:
                self._go_on()
                with requesting(self._destination, "C-GET"):
                    responses = association.send_c_get(identifier, STUDY_ROOT_GET, msg_id=_MESSAGE_ID)
                yield self._counted(responses, "C-GET", progress)

    @contextmanager
    def _association_for(
        self,
        contexts: list[PresentationContext],
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
        handlers: Sequence[EventHandlerType] = (),
    ) -> Iterator[Association]:
        with open_association(
            self._destination, self._own_ae_title, contexts, roles=roles, services=handlers
        ) as association:
            association.dimse_timeout = _RETRIEVE_TIMEOUT_S
            with self._lock:
                self._association = association
            try:
                yield association
            finally:
                with self._lock:
                    self._association = None

    def _go_on(self) -> None:
        if self._stopped:
            raise PeerUnreachable("the node is stopping")

    @contextmanager
    def _one_reception(self, association: Association) -> Iterator[None]:
        with self._lock:
            if self._stopped:
                raise OutOfResources("the node is stopping; send again later")
            self._receiving = True
        try:
            yield
        finally:
            with self._lock:
                self._receiving = False
                if self._stopped:  # the answer to this object is still to be sent: no abort, but soon an end
                    association.dimse_timeout = _STOPPING_TIMEOUT_S
                    association.send_c_cancel(_MESSAGE_ID, query_model=STUDY_ROOT_GET)

    def _counted(
        self, responses: Iterator[tuple[Dataset, Dataset | None]], service: str, progress: Progress
    ) -> SubOperations:
        last, told = Dataset(), 0
        for last, _ in responses:
            done = sum(_count(last, kind) for kind in _ENDED)
            progress(max(0, done - told))
            told = max(done, told)
        if last.get("Status") is None or not told:
            check_status(last, self._destination, service)
        return SubOperations(int(last.Status), *(_count(last, kind) for kind in _ENDED))


def move_contexts() -> list[PresentationContext]:
    """What is proposed for a C-MOVE."""
    return [build_context(STUDY_ROOT_MOVE)]


def get_contexts(sop_classes: Collection[str]) -> list[PresentationContext]:
    """What is proposed for a C-GET, which comes first, and for what it brings; without SOP classes those of images.

    Each SOP class in each transfer syntax by itself, so that a peer need convert nothing; where these are too many,
    each SOP class once with all of them.
    """
    classes = sorted(sop_classes or IMAGE_STORAGE)
    if len(classes) * len(ACCEPTED) <= _MOST_STORAGE_CONTEXTS:
        storage = [build_context(*pair) for pair in itertools.product(classes, ACCEPTED)]
    else:
        storage = [build_context(sop_class, list(ACCEPTED)) for sop_class in classes[:_MOST_STORAGE_CONTEXTS]]
    return [build_context(STUDY_ROOT_GET), *storage]


def _count(response: Dataset, kind: str) -> int:
    return int(response.get(f"NumberOf{kind}Suboperations", None) or 0)
