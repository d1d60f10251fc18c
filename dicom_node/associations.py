"""An association out: opened, released, and every way it can go wrong told as a `DeliveryError`.

The error says whether trying again can help. What is done over the association is the business of peers.py and
storage_scu.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicom_node.answers import Answer, answer_of
from dicom_node.discretion import comment_of
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, NothingAccepted, PeerRefused, PeerUnreachable
from dicom_node.tls import client_tls
from sr_writer.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

#: The longest P-DATA this node asks for; DCMTK's own limit, and measured as fast as any longer one.
MAXIMUM_PDU_BYTES = 131072
_CONNECTION_TIMEOUT_S = 10.0
_ACSE_TIMEOUT_S = 30.0
_DIMSE_TIMEOUT_S = 60.0
_NETWORK_TIMEOUT_S = 120.0
_TRANSIENT_REJECTION = 2


def send_without_delay(event: Event) -> None:
    """Bound to EVT_CONN_OPEN: have every PDU sent at once (TCP_NODELAY), or small answers wait for the next ones."""
    association_socket = event.assoc.dul.socket
    if association_socket is not None and association_socket.socket is not None:
        association_socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def application_entity(ae_title: str) -> AE:
    """An application entity of this node, with its implementation's marks and its patience."""
    # keeps queries with patient data out of the log
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


@contextmanager
def open_association(
    destination: Destination,
    own_ae_title: str,
    proposed: list[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    services: Sequence[EventHandlerType] = (),
) -> Iterator[Association]:
    """An association that proposes these presentation contexts and roles, released at the end.

    `roles` are those other than the default (PS3.7 D.3.3.4); `services` answer what the peer asks on it.

    Raises PeerUnreachable or PeerRefused when none comes of it.
    """
    connected: list[Event] = []
    handlers: list[EventHandlerType] = [
        (evt.EVT_CONN_OPEN, send_without_delay),
        (evt.EVT_CONN_OPEN, connected.append),
        *services,
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
            ext_neg=list(roles),
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
        return NothingAccepted(f"{destination} accepts none of the SOP classes we would send")
    doubt = "; does it believe this node's certificate?" if destination.tls else ""
    return PeerUnreachable(f"{destination} broke off or did not answer the association request{doubt}")


def check_status(response: Dataset, destination: Destination, service: str, asked: Dataset | None = None) -> None:
    """Raises PeerUnreachable for a response without a status, PeerRefused for one that is not success.

    Its comment is told, unless it names the patient of what was `asked`.
    """
    if response.get("Status") is None:
        raise PeerUnreachable(f"{destination} gave no answer to the {service}")
    if response.Status != 0:
        comment = comment_of(response, asked)
        raise PeerRefused(
            f"{destination} answered the {service} with status 0x{response.Status:04X}{comment}",
            transient=answer_of(response.Status) is Answer.LATER,
        )
