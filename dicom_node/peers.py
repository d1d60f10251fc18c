"""Associations out: verify a peer, store objects at it, ask it what it holds, have it send.

Every way an association can go wrong becomes a `DeliveryError` that says whether trying again can help.
Data sets are sent as they are stored, undecoded, in a presentation context of exactly their SOP class and transfer
syntax; only when the peer refuses that one is an uncompressed data set re-encoded.
"""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.answers import Answer, answer_of
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, ObjectRejected, PeerRefused, PeerUnreachable
from dicom_node.tls import client_tls
from dicom_node.transfer_syntaxes import UNCOMPRESSED
from sr_writer.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_LOGGER = logging.getLogger(__name__)

#: SOP classes of PS3.4 Annex A and C.
VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")

#: The longest P-DATA this node asks for; DCMTK's own limit, and measured as fast as any longer one.
MAXIMUM_PDU_BYTES = 131072
_CONNECTION_TIMEOUT_S = 10.0
_ACSE_TIMEOUT_S = 30.0
_DIMSE_TIMEOUT_S = 60.0
_NETWORK_TIMEOUT_S = 120.0
#: Presentation context IDs are the odd numbers of one byte (PS3.8 9.3.2.2), and a pair may need two.
LARGEST_PROPOSAL = 64
_TRANSIENT_REJECTION = 2


@dataclass(frozen=True, slots=True)
class ContextWish:
    """A SOP class in one transfer syntax, as a file to be sent has it."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class MoveOutcome:
    """The sub-operations of one C-MOVE (PS3.4 C.4.2.1.6)."""

    status: int
    completed: int
    failed: int
    warning: int


def send_without_delay(event: Event) -> None:
    """Bound to EVT_CONN_OPEN: have every PDU sent at once (TCP_NODELAY), or small answers wait for the next ones."""
    association_socket = event.assoc.dul.socket
    if association_socket is not None and association_socket.socket is not None:
        association_socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def application_entity(ae_title: str) -> AE:
    """An application entity of this node, with its implementation's marks and its patience."""
    # the only way to have pynetdicom send a file's bytes undecoded, and keep queries with patient data out of the log
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title=ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
    entity.connection_timeout = _CONNECTION_TIMEOUT_S
    entity.acse_timeout = _ACSE_TIMEOUT_S
    entity.dimse_timeout = _DIMSE_TIMEOUT_S
    entity.network_timeout = _NETWORK_TIMEOUT_S
    return entity


def context_wish(path: Path) -> ContextWish:
    """What the file at `path` needs to be sent. Raises ObjectRejected when it is gone or no DICOM file (PS3.10)."""
    try:
        meta = read_file_meta_info(path)
        return ContextWish(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    except FileNotFoundError as error:
        raise ObjectRejected(f"{path} is gone; it cannot be sent") from error
    except (OSError, InvalidDicomError, AttributeError) as error:
        raise ObjectRejected(f"{path} is no DICOM file with file meta information: {error}") from error


class StorageSender:
    """Sends files over one storage association."""

    def __init__(self, association: Association, destination: Destination) -> None:
        self._association = association
        self._destination = destination
        self._message_ids = itertools.count(1)
        self._lost = False
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
        }

    def send(self, path: Path) -> int:
        """Store the object at `path` at the peer; the status, success or warning.

        Raises PeerUnreachable (retry, on a new association), PeerRefused (retry later) or ObjectRejected (final).
        """
        wish = context_wish(path)
        source = self._as_accepted(path, wish)
        if self._lost or not self._association.is_established:
            raise PeerUnreachable(f"{self._destination} ended the association before {path.name} was sent")
        # message IDs are 16 bit (PS3.7 9.3.1.1)
        message_id = next(self._message_ids) % 0xFFFF
        try:
            response = self._association.send_c_store(source, msg_id=message_id)
        except (ValueError, AttributeError, RuntimeError, OSError) as error:
            raise ObjectRejected(f"{path.name} cannot be sent to {self._destination}: {error}") from error
        return self._judge(response, path)

    def _as_accepted(self, path: Path, wish: ContextWish) -> Path | Dataset:
        if (wish.sop_class_uid, wish.transfer_syntax_uid) in self._accepted:
            return path
        agreed = next((uid for uid in UNCOMPRESSED if (wish.sop_class_uid, uid) in self._accepted), None)
        if agreed is not None and wish.transfer_syntax_uid in UNCOMPRESSED:
            return dcmread(path)
        raise ObjectRejected(
            f"{self._destination} accepts no {UID(wish.sop_class_uid).name} in {UID(wish.transfer_syntax_uid).name}; "
            "have that SOP class allowed there, or leave it out of this destination's results"
        )

    def _judge(self, response: Dataset, path: Path) -> int:
        if response.get("Status") is None:
            # pynetdicom's way to say: time-out, abort or an invalid response; it may still think to be associated
            self._lost = True
            raise PeerUnreachable(f"{self._destination} gave no answer to {path.name}")
        status = int(response.Status)
        comment = f" ({response.ErrorComment})" if response.get("ErrorComment") else ""
        answer = answer_of(status)
        if answer is Answer.LATER:
            raise PeerRefused(f"{self._destination} cannot take {path.name} now: status 0x{status:04X}{comment}")
        if answer is Answer.NEVER:
            raise ObjectRejected(f"{self._destination} rejected {path.name}: status 0x{status:04X}{comment}")
        if status:
            _LOGGER.info(
                "%s took %s with warning 0x%04X%s",
                self._destination,
                path.name,
                status,
                comment,
                extra={"action": "stored_with_warning"},
            )
        return status


def storage_contexts(wishes: Collection[ContextWish]) -> list[PresentationContext]:
    """One context for each pair; what is uncompressed is offered in every such syntax, since it can be re-encoded."""
    convertible = {wish.sop_class_uid for wish in wishes if wish.transfer_syntax_uid in UNCOMPRESSED}
    asked = {(wish.sop_class_uid, wish.transfer_syntax_uid) for wish in wishes}
    asked |= set(itertools.product(convertible, UNCOMPRESSED))
    return [build_context(sop_class_uid, syntax) for sop_class_uid, syntax in sorted(asked)]


def verification_contexts() -> list[PresentationContext]:
    """What is proposed for a C-ECHO."""
    return [build_context(VERIFICATION)]


@contextmanager
def open_storage(
    destination: Destination, own_ae_title: str, wishes: Collection[ContextWish]
) -> Iterator[StorageSender]:
    """A sender for objects of exactly these SOP classes and transfer syntaxes (at most LARGEST_PROPOSAL).

    Raises PeerUnreachable or PeerRefused when there is no association, ValueError for too many wishes.
    """
    if len(wishes) > LARGEST_PROPOSAL:
        raise ValueError(f"{len(wishes)} pairs of SOP class and transfer syntax; one association takes 64")
    with _association(destination, own_ae_title, storage_contexts(wishes)) as association:
        yield StorageSender(association, destination)


def echo(destination: Destination, own_ae_title: str) -> None:
    """C-ECHO (PS3.4 Annex A). Raises PeerUnreachable or PeerRefused."""
    with _association(destination, own_ae_title, verification_contexts()) as association:
        response = association.send_c_echo()
    _final_status(response, destination, "C-ECHO")


def find(destination: Destination, own_ae_title: str, query: Dataset) -> tuple[Dataset, ...]:
    """C-FIND, Study Root (PS3.4 C.4.1): the identifiers that match `query`, which names its QueryRetrieveLevel.

    Raises PeerUnreachable or PeerRefused.
    """
    matches: list[Dataset] = []
    status = Dataset()
    with _association(destination, own_ae_title, [build_context(STUDY_ROOT_FIND)]) as association:
        for response, identifier in association.send_c_find(query, STUDY_ROOT_FIND):
            status = response
            if _is_pending(status) and identifier is not None:
                matches.append(identifier)
    _final_status(status, destination, "C-FIND")
    return tuple(matches)


def move(destination: Destination, own_ae_title: str, query: Dataset, move_to: str) -> MoveOutcome:
    """C-MOVE, Study Root (PS3.4 C.4.2): have `destination` send what `query` names to the AE title `move_to`.

    Failed sub-operations are counted, not raised. Raises PeerUnreachable or PeerRefused when nothing was sent.
    """
    status = Dataset()
    with _association(destination, own_ae_title, [build_context(STUDY_ROOT_MOVE)]) as association:
        for response, _ in association.send_c_move(query, move_to, STUDY_ROOT_MOVE):
            status = response
    counts = [int(status.get(f"NumberOf{kind}Suboperations", None) or 0) for kind in ("Completed", "Failed", "Warning")]
    if sum(counts) == 0:
        _final_status(status, destination, "C-MOVE")
    return MoveOutcome(int(status.get("Status", 0xC000)), *counts)


@contextmanager
def _association(
    destination: Destination, own_ae_title: str, proposed: list[PresentationContext]
) -> Iterator[Association]:
    connected: list[Event] = []
    handlers: list[EventHandlerType] = [
        (evt.EVT_CONN_OPEN, send_without_delay),
        (evt.EVT_CONN_OPEN, connected.append),
    ]
    entity = application_entity(own_ae_title)
    tls = client_tls(destination)
    try:
        association = entity.associate(
            destination.host,
            destination.port,
            contexts=proposed,
            ae_title=destination.ae_title,
            max_pdu=MAXIMUM_PDU_BYTES,
            evt_handlers=handlers,
            tls_args=None if tls is None else (tls, destination.host),
        )
    except OSError as error:
        raise PeerUnreachable(f"{destination} cannot be found: {error}; is its host name right?") from error
    if not association.is_established:
        no_tls = tls and tls.failure(destination)
        raise no_tls or _why_not(association, destination, own_ae_title, connected=bool(connected))
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _why_not(
    association: Association, destination: Destination, own_ae_title: str, *, connected: bool
) -> DeliveryError:
    if not connected:
        return PeerUnreachable(f"no connection to {destination}; is it running, and are host and port right?")
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        numbers = f"{answer.result}/{answer.result_source}/{answer.diagnostic}"
        return PeerRefused(
            f"{destination} rejected the association ({numbers}: {answer.reason_str}); "
            f"we called {destination.ae_title} as {own_ae_title}: are both registered there?",
            transient=answer.result == _TRANSIENT_REJECTION,
        )
    if answer is not None and not association.accepted_contexts:
        return PeerRefused(f"{destination} accepts none of the SOP classes we would send", transient=False)
    doubt = "; does it believe this node's certificate?" if destination.tls else ""
    return PeerUnreachable(f"{destination} broke off or did not answer the association request{doubt}")


def _final_status(response: Dataset, destination: Destination, service: str) -> None:
    if response.get("Status") is None:
        raise PeerUnreachable(f"{destination} gave no answer to the {service}")
    if response.Status != 0:
        comment = f" ({response.ErrorComment})" if response.get("ErrorComment") else ""
        raise PeerRefused(
            f"{destination} answered the {service} with status 0x{response.Status:04X}{comment}",
            transient=answer_of(response.Status) is Answer.LATER,
        )


def _is_pending(status: Dataset) -> bool:
    return status.get("Status") in {0xFF00, 0xFF01}
