"""The Store transaction as origin server (STOW-RS, PS3.18 10.5): each part goes the way of a C-STORE request.

A part is durable and recorded before the next one is read; the answer names each with its status. What goes wrong with
one part never touches the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node import transfer_syntaxes
from dicom_node.admission import AssociationRequest
from dicom_node.domain.calls import Call, CallOutcome
from dicom_node.domain.errors import CannotUnderstand, DatasetMismatch, ReceiveError
from dicom_node.identification import Arrival, identify
from dicom_node.receiving import Receiver, Recorded
from dicom_node.spool import checked_uid
from dicom_node.store_responses import PartOutcome, body_of, http_status_of
from dicom_node.web.access import Denied, KnownSender, recognise
from dicom_node.web.file_format import arrival_of
from dicom_node.web.multipart_related import Part, PartBounds, blocks_of, boundary_of, parts_of
from dicom_node.web.refusals import BadSyntax, NoRoom, NoSuchAnswer, RequestRefused, WrongMediaType
from dicom_node.web.uploads import Upload, Uploads

_LOGGER = logging.getLogger(__name__)

#: The root of the services; `/studies` follows it.
SERVICE_ROOT = "/dicom-web"
_ANSWER_TYPE = "application/dicom+json"
#: Objects written at a time, each of which is in memory as a whole; others wait.
_WRITTEN_AT_ONCE = 4
_RETRY_AFTER_S = 60
#: What a caller is called in the list of calls while nobody knows who it is: no AE title is written so.
_UNKNOWN = "(web)"
#: Failure Reasons (PS3.18 I.2.2) of what no presentation context would be accepted for.
SOP_CLASS_NOT_SUPPORTED = 0x0122
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


@dataclass(frozen=True, slots=True)
class StoreBounds:
    """How large and how slow an upload may be."""

    part: PartBounds
    #: For each block of it to come.
    idle_s: float


@dataclass(frozen=True, slots=True)
class Hearers:
    """Who takes note of callers that were let in or not, and of each instance that was kept; neither may raise."""

    on_call: Callable[[Call], None]
    on_received: Callable[[Upload, AssociationRequest, Recorded], None]


class StoreInstances:
    """Answers POST to /studies and /studies/{study}.

    `senders` tells who may store, at each request.
    """

    def __init__(
        self,
        receiver: Receiver,
        senders: Callable[[], Sequence[KnownSender]],
        sop_classes: Collection[str],
        bounds: StoreBounds,
        hearers: Hearers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._receiver = receiver
        self._senders = senders
        self._sop_classes = frozenset(sop_classes)
        self._bounds = bounds
        self._hearers = hearers
        self._clock = clock
        self._limiter = CapacityLimiter(_WRITTEN_AT_ONCE)
        self.uploads = Uploads()

    @property
    def routes(self) -> tuple[Route, ...]:
        """Where requests come in."""
        paths = (f"{SERVICE_ROOT}/studies", f"{SERVICE_ROOT}/studies/{{study}}")
        return tuple(Route(path, self._answer, methods=["POST"]) for path in paths)

    async def _answer(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        sender = recognise(request.headers.get("authorization", ""), address, self._senders())
        if isinstance(sender, Denied):
            return self._denied(sender, address)
        self._note(sender.name, address, CallOutcome.ACCEPTED, "let in to store by STOW-RS", "")
        outcomes: list[PartOutcome] = []
        try:
            with self.uploads.one_more() as upload:
                await self._take(request, AssociationRequest(sender.name, SERVICE_ROOT, address, 0), upload, outcomes)
        except RequestRefused as refused:
            return _refusal(refused, outcomes, sender.name)
        except ClientDisconnect:
            told = ("%s hung up after %d objects; it does not know of them", sender.name, len(outcomes))
            _LOGGER.warning(*told, extra={"action": "upload_refused"})
            return Response(status_code=BadSyntax.http_status)  # to nobody
        kept = sum(not outcome.status for outcome in outcomes)
        _LOGGER.info(
            "%s stored %d of %d objects by STOW-RS", sender.name, kept, len(outcomes), extra={"action": "upload_ended"}
        )
        return _response(http_status_of(outcomes), outcomes)

    async def _take(
        self, request: Request, caller: AssociationRequest, upload: Upload, outcomes: list[PartOutcome]
    ) -> None:
        """Store part by part, and add what became of each. Raises RequestRefused or ClientDisconnect."""
        _check_encodings(request)
        boundary = boundary_of(request.headers.get("content-type", ""))
        study = _study_of(request)
        async with (
            aclosing(request.stream()) as stream,
            aclosing(blocks_of(stream, self._bounds.idle_s)) as blocks,
            aclosing(parts_of(blocks, boundary, self._bounds.part)) as parts,
        ):
            async for part in parts:
                stored = await to_thread.run_sync(self._store, part, caller, study, upload, limiter=self._limiter)
                outcomes.append(stored)

    def _store(self, part: Part, caller: AssociationRequest, study: str, upload: Upload) -> PartOutcome:
        """In a thread: keep and record one part, or say why not."""
        named, source = ("", ""), caller.calling_ae_title
        try:
            if part.content_type not in (None, "application/dicom"):
                raise CannotUnderstand("a part is not application/dicom")
            arrival = arrival_of(part.file, source)
            named = (arrival.sop_class_uid, arrival.sop_instance_uid)
            unsupported = self._unsupported(arrival)
            if unsupported is None:
                _check_study(arrival, study)
                recorded = self._receiver.receive(arrival, now=self._clock())
                self.uploads.stored(upload, recorded.instance.study_instance_uid)
                self._hearers.on_received(upload, caller, recorded)
                return PartOutcome(*named, 0)
            status, told = unsupported
        except ReceiveError as error:
            status, told = error.status, str(error)
        _LOGGER.warning(
            "Answered 0x%04X to %s of %s: %s",
            status,
            named[1] or "a part",
            source,
            told,
            extra={"action": "store_refused"},
        )
        return PartOutcome(*named, status)

    def _unsupported(self, arrival: Arrival) -> tuple[int, str] | None:
        """As the listening application entity accepts no presentation context for it."""
        if arrival.sop_class_uid not in self._sop_classes:
            return SOP_CLASS_NOT_SUPPORTED, f"SOP class {arrival.sop_class_uid!r} is not supported"
        if arrival.transfer_syntax_uid not in transfer_syntaxes.ACCEPTED:
            return TRANSFER_SYNTAX_NOT_SUPPORTED, f"transfer syntax {arrival.transfer_syntax_uid!r} is not supported"
        return None

    def _denied(self, denied: Denied, address: str) -> Response:
        told = ("Turned a STOW-RS request from %s away: %s; %s", address, denied.reason, denied.remedy)
        _LOGGER.warning(*told, extra={"action": "upload_refused"})
        self._note(_UNKNOWN, address, CallOutcome.REJECTED, denied.reason, denied.remedy)
        challenge = {"WWW-Authenticate": "Bearer"} if denied.http_status == 401 else None
        return Response(status_code=denied.http_status, headers=challenge)

    def _note(self, caller: str, address: str, outcome: CallOutcome, reason: str, remedy: str) -> None:
        now = self._clock()
        self._hearers.on_call(Call(caller, address, SERVICE_ROOT, outcome, reason, remedy, first_at=now, last_at=now))


def _check_encodings(request: Request) -> None:
    """Neither a compressed body nor an answer in XML. Raises WrongMediaType or NoSuchAnswer."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongMediaType("send it without Content-Encoding")
    accepted = request.headers.get("accept", "*/*").lower()
    if not any(media_type in accepted for media_type in (_ANSWER_TYPE, "application/json", "application/*", "*/*")):
        raise NoSuchAnswer(f"accept answers in {_ANSWER_TYPE}")


def _study_of(request: Request) -> str:
    """The Study Instance UID of the URL; empty where it has none. Raises BadSyntax."""
    study: str = request.path_params.get("study", "")
    if study:
        try:
            checked_uid(study, "Study Instance UID of the URL")
        except CannotUnderstand as error:
            raise BadSyntax(str(error)) from error
    return study


def _check_study(arrival: Arrival, study: str) -> None:
    """Raises DatasetMismatch when it is not of the study that the URL names (PS3.18 10.5.1.1)."""
    if study and identify(arrival).study_instance_uid != study:
        raise DatasetMismatch("it is of another study than the URL names")


def _refusal(refused: RequestRefused, outcomes: Sequence[PartOutcome], source: str) -> Response:
    told = ("Answered HTTP %d to %s after %d objects: %s", refused.http_status, source, len(outcomes), refused)
    _LOGGER.warning(*told, extra={"action": "upload_refused"})
    return _response(refused.http_status, outcomes)


def _response(http_status: int, outcomes: Sequence[PartOutcome]) -> Response:
    again = {"Retry-After": str(_RETRY_AFTER_S)} if http_status == NoRoom.http_status else None
    return Response(body_of(outcomes), http_status, headers=again, media_type=_ANSWER_TYPE)
