"""The door of the SCP: TLS, and the bounds on time, size and number that hold below an association.

A caller is served only by a thread of its own, from the first byte: one that is silent or slow, in the TLS handshake,
in the association request or in the middle of a PDU, keeps nobody else waiting and is sent away in time.
"""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.bounded_socket import BoundedSocket, Dismissal
from dicom_node.domain.bounds import Bounds
from dicom_node.domain.calls import CallOutcome
from dicom_node.messages import BoundedMessages, GuardedMachine
from dicom_node.streaming import BeginStore, StreamingProvider
from dicom_node.tls import ServerTls, why_no_tls

#: Connections open at a time, with those that have not asked for an association yet; each costs a thread.
MOST_CONNECTIONS = 512
#: Content type 22 of a TLS record (RFC 8446 5.1); no PDU begins so.
_TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True, slots=True)
class HouseRules:
    """How the door treats callers; `dismissed` is called in the thread of one that is sent away, and must not raise."""

    bounds: Bounds
    #: None: without TLS.
    tls: ServerTls | None
    dismissed: Callable[[Dismissal], None]
    #: Who takes a C-STORE request, given its association and presentation context.
    begin_store: BeginStore
    #: Wait until all that was stored is recorded; called before anything else happens on an association.
    flush: Callable[[], object]


def open_door(entity: AE, address: tuple[str, int], handlers: Sequence[EventHandlerType], rules: HouseRules) -> Door:
    """Listen in a thread until `shutdown`. Raises OSError when the port is taken."""
    door = entity.make_server(
        address,
        server_class=Door,
        evt_handlers=[*handlers, (evt.EVT_DIMSE_RECV, _message_ended)],
        rules=rules,
    )
    threading.Thread(target=door.serve_forever, name="door", daemon=True).start()
    return cast(Door, door)


class SharedContexts(list[PresentationContext]):
    """What is accepted, one list for all associations: a copy for each, as pynetdicom makes, takes 50 ms and the GIL.

    Negotiation as acceptor reads them and changes none.
    """

    def __deepcopy__(self, _memo: dict[int, object]) -> list[PresentationContext]:
        return list(self)


class _HungUpError(OSError):
    """It connected and went, as those do that only look whether the port is open; not worth a word."""


class _SpokeTlsError(OSError):
    """What came is the beginning of a TLS handshake."""


class Door(ThreadedAssociationServer):
    """A listening socket, and the callers that have not asked for an association yet."""

    daemon_threads = True
    #: Connections the system holds until they are taken in; with socketserver's 5, a burst waits for seconds.
    request_queue_size = 128

    def __init__(  # pynetdicom's six
        self,
        ae: AE,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: list[EventHandlerType] | None = None,
        *,
        rules: HouseRules,
    ) -> None:
        self.rules = rules
        self._waiting: set[socket.socket] = set()
        self._waiting_lock = threading.Lock()
        self._closed = False
        super().__init__(ae, address, ae_title, SharedContexts(contexts), ssl_context, evt_handlers, _Reception)

    def verify_request(self, request: object, client_address: object) -> bool:
        """Whether there is room for one more connection; asked by socketserver."""
        del request
        with self._waiting_lock:
            waiting = len(self._waiting)
        if waiting + len(self.active_associations) < MOST_CONNECTIONS:
            return True
        reason = f"{MOST_CONNECTIONS} connections are open"
        remedy = "see which hosts open so many, and keep them out by the firewall"
        self._dismiss(client_address, CallOutcome.CUT_OFF, reason, remedy)
        return False

    def finish_request(self, request: object, client_address: object) -> None:
        """TLS, the wait for the first byte, then an association; in a thread of this caller's own."""
        connection = cast(socket.socket, request)
        until = time.monotonic() + self.rules.bounds.artim_s
        outcome = CallOutcome.CUT_OFF if self.rules.tls is None else CallOutcome.NO_TLS
        try:
            if self.rules.tls is not None:
                connection = self.rules.tls.context().wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
                self._wait_with(connection, until, _shake_hands)
                outcome = CallOutcome.CUT_OFF
            self._wait_with(connection, until, _await_first_byte)
        except OSError as error:
            self.shutdown_request(connection)
            if not self._closed and not isinstance(error, _HungUpError):
                self._dismiss(client_address, outcome, *self._why(outcome, error))
            return
        super().finish_request(connection, cast("tuple[str, int]", client_address))

    def shutdown(self) -> None:
        """Listen no more, and send away who has not asked for an association yet."""
        self._closed = True
        socketserver.BaseServer.shutdown(self)  # pynetdicom's own wants a server that `AE.start_server` began
        self.server_close()
        with self._waiting_lock:
            waiting = list(self._waiting)
        for connection in waiting:
            _wake(connection)

    def _wait_with(self, connection: socket.socket, until: float, step: Callable[[socket.socket, float], None]) -> None:
        with self._waiting_lock:
            self._waiting.add(connection)
        try:
            step(connection, max(0.001, until - time.monotonic()))
        finally:
            with self._waiting_lock:
                self._waiting.discard(connection)
        if self._closed:
            raise ConnectionAbortedError("the node is stopping")

    def _why(self, outcome: CallOutcome, error: OSError) -> tuple[str, str]:
        if outcome is CallOutcome.NO_TLS:
            return why_no_tls(error)
        if isinstance(error, _SpokeTlsError):
            return "it spoke TLS, which this node does not", "switch it off at the peer, or configure node.tls"
        return (
            f"it connected and asked for no association within {self.rules.bounds.artim_s:g} s",
            "look what it is: a port scanner, or a peer that stalls; receive.artim_seconds is how long it may take",
        )

    def _dismiss(self, client_address: object, outcome: CallOutcome, reason: str, remedy: str) -> None:
        address = cast("tuple[str, int]", client_address)[0]
        self.rules.dismissed(Dismissal(address, outcome, reason, remedy))


class _Reception(RequestHandler):
    """Makes the association of a caller whose first byte has come."""

    server: Door

    def _create_association(self) -> Association:
        association = super()._create_association()
        rules = self.server.rules
        abused = partial(_abused, association, rules)
        # with the provider made there goes its socket, which has announced the connection, as the next one does itself
        association.dul = StreamingProvider(association, rules.begin_store, rules.flush, abused, rules.bounds.idle_s)
        association.acse_timeout, association.network_timeout = self.ae.acse_timeout, self.ae.network_timeout
        association.set_socket(BoundedSocket(association, self.request, rules.bounds, rules.dismissed))
        association.dimse = BoundedMessages(association)
        association.dul.state_machine = GuardedMachine(association, abused)
        return association


def _abused(association: Association, rules: HouseRules, what: str) -> None:
    address, reason = str(association.requestor.address), f"it sent what is no DICOM ({what})"
    remedy = "look what it is; if it is a DICOM application, report this with the log"
    rules.dismissed(Dismissal(address, CallOutcome.CUT_OFF, reason, remedy, association))


def _message_ended(event: Event) -> None:
    bounded = event.assoc.dul.socket
    if isinstance(bounded, BoundedSocket):
        bounded.message_ended()


def _shake_hands(connection: socket.socket, within_s: float) -> None:
    connection.settimeout(within_s)  # of the handshake as a whole
    cast(ssl.SSLSocket, connection).do_handshake()


def _await_first_byte(connection: socket.socket, within_s: float) -> None:
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(within_s * 1000):
        raise TimeoutError
    if isinstance(connection, ssl.SSLSocket):
        return
    first = connection.recv(1, socket.MSG_PEEK)
    if not first:
        raise _HungUpError
    if first == _TLS_HANDSHAKE:
        raise _SpokeTlsError


def _wake(connection: socket.socket) -> None:
    """Have the thread that waits for it see the end of the connection."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # gone already
