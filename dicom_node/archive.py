"""The embedded mini-PACS of the demo and the tests: stores, answers queries, moves, gives, and routes new images on.

Small but honest: what it answers success to is on disk, and it sends what it stored, byte for byte where a transfer
syntax is agreed. It has no users, no limits and no retention: not for production.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node import transfer_syntaxes
from dicom_node.archive_index import ArchiveIndex, Entry, UnknownLevelError
from dicom_node.associations import application_entity, send_without_delay
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ReceiveError
from dicom_node.domain.study import InstanceKind
from dicom_node.file_meta import file_meta_of
from dicom_node.forwarding import Forwarder
from dicom_node.identification import Arrival, identify
from dicom_node.intake import classify_object
from dicom_node.peers import STUDY_ROOT_FIND, STUDY_ROOT_MOVE, VERIFICATION
from dicom_node.retrieve_scu import STUDY_ROOT_GET
from dicom_node.scp import abort_all
from dicom_node.spool import Spool
from dicom_node.store_answers import arrival_of

_LOGGER = logging.getLogger(__name__)

_SUCCESS = 0x0000
_PENDING = 0xFF00
_CANCELLED = 0xFE00
#: PS3.4 Tables C.4-1 and C.4-2: the identifier does not match the SOP class.
_BAD_IDENTIFIER = 0xA900
_MOST_CONTEXTS = 128
_NO_DELAY: EventHandlerType = (evt.EVT_CONN_OPEN, send_without_delay)


class Archive:
    """Listens between `start` and `stop`; holds `folder`, and what earlier runs left there.

    `known` are the peers a C-MOVE may name. Each new image goes on to `route_to`, unless it came from there.
    """

    def __init__(
        self,
        ae_title: str,
        host: str,
        port: int,
        folder: Path,
        known: Sequence[Destination] = (),
        route_to: Destination | None = None,
    ) -> None:
        self._ae_title = ae_title
        self._address = (host, port)
        self._spool = Spool(folder)
        self._spool.sweep()
        self._known = {destination.ae_title: destination for destination in known}
        self._route_to = route_to
        self._forwarder = Forwarder(route_to, ae_title) if route_to is not None else None
        self._index = ArchiveIndex()
        self._server: ThreadedAssociationServer | None = None
        for path in self._spool.received():
            self._index.add(path)

    def start(self) -> None:
        """Bind and listen. Raises OSError when the port is taken."""
        entity = application_entity(self._ae_title)
        for service in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET):
            entity.add_supported_context(service, transfer_syntaxes.UNCOMPRESSED)
        for context in AllStoragePresentationContexts:
            # in both roles: who asks by C-GET stores on the same association what it gets
            entity.add_supported_context(
                cast(str, context.abstract_syntax), transfer_syntaxes.ACCEPTED, scu_role=True, scp_role=True
            )
        handlers: list[EventHandlerType] = [
            _NO_DELAY,
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_GET, self._get),
        ]
        self._server = entity.start_server(self._address, block=False, evt_handlers=handlers)
        if self._forwarder is not None:
            self._forwarder.start()

    def stop(self) -> None:
        """Stop routing, close every association, listen no more."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        abort_all(server.active_associations, timeout_s=5.0)
        if self._forwarder is not None:
            self._forwarder.stop()

    def instances(self, study_instance_uid: str) -> tuple[Path, ...]:
        """The files of one study, in the order of their arrival."""
        return tuple(entry.path for entry in self._index.of_study(study_instance_uid))

    def _store(self, event: Event) -> int:
        try:
            self._keep(arrival_of(event, event.assoc.requestor.ae_title))
        except ReceiveError as error:
            _LOGGER.warning("Answered 0x%04X: %s", error.status, error, extra={"action": "archive_refused"})
            return error.status
        return _SUCCESS

    def _keep(self, arrival: Arrival) -> None:
        address = identify(arrival)
        meta = file_meta_of(arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)
        kept = self._spool.keep(address, arrival.dataset, meta)
        if not kept.new:
            return
        self._index.add(kept.path)
        if self._forwarder is not None and self._goes_on(arrival):
            self._forwarder.put(kept.path)

    def _goes_on(self, arrival: Arrival) -> bool:
        is_image = classify_object(arrival.sop_class_uid, is_own=False) is InstanceKind.IMAGE
        from_there = self._route_to is not None and arrival.calling_ae_title == self._route_to.ae_title
        return is_image and not from_there

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        try:
            for match in self._index.matches(event.identifier):
                if event.is_cancelled:
                    yield _CANCELLED, None
                    return
                yield _PENDING, match
        except UnknownLevelError as error:
            _LOGGER.warning("C-FIND: %s", error, extra={"action": "archive_bad_query"})
            yield _BAD_IDENTIFIER, None

    def _move(self, event: Event) -> Iterator[object]:
        request = cast(C_MOVE, event.request)
        destination = self._known.get(str(request.MoveDestination).strip())
        if destination is None:
            yield None, None  # pynetdicom answers 0xA801, move destination unknown
            return
        entries = self._index.instances_of(event.identifier)
        contexts = _contexts(entries)
        yield destination.host, destination.port, {"contexts": contexts, "evt_handlers": [_NO_DELAY]}
        yield from _sub_operations(event, entries)

    def _get(self, event: Event) -> Iterator[object]:
        yield from _sub_operations(event, self._index.instances_of(event.identifier))


def _sub_operations(event: Event, entries: Sequence[Entry]) -> Iterator[object]:
    """What pynetdicom wants to know of a C-MOVE or C-GET: how many objects, then each."""
    yield len(entries)
    for entry in entries:
        if event.is_cancelled:
            yield _CANCELLED, None
            return
        yield _PENDING, dcmread(entry.path)


def _contexts(entries: Sequence[Entry]) -> list[PresentationContext]:
    """What a move of `entries` proposes: each SOP class as stored, and uncompressed ones in any uncompressed form."""
    pairs = {(str(entry.header.SOPClassUID), entry.transfer_syntax_uid) for entry in entries}
    stored_plain = {sop_class for sop_class, syntax in pairs if syntax in transfer_syntaxes.UNCOMPRESSED}
    pairs |= set(itertools.product(stored_plain, transfer_syntaxes.UNCOMPRESSED))
    return [build_context(sop_class, syntax) for sop_class, syntax in sorted(pairs)][:_MOST_CONTEXTS]
