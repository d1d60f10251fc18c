"""What the node does on the web, as origin server and as user agent: read off the parts that do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from dicom_node.conformance.network import REACTIONS, Status
from dicom_node.domain.errors import ReceiveError
from dicom_node.domain.web import WebDestination
from dicom_node.settings import Settings
from dicom_node.stow_answers import HTTP_STATUS_RANGES
from dicom_node.web.multipart_related import BLOCK_BYTES, MOST_PARTS
from dicom_node.web.refusals import RequestRefused
from dicom_node.web.store_instances import SERVICE_ROOT, SOP_CLASS_NOT_SUPPORTED, TRANSFER_SYNTAX_NOT_SUPPORTED
from dicom_node.web.uploads import MOST_UPLOADS

#: Of requests that were read to their end, or turned away before (PS3.18 Table 10.5.3-1).
_SUMMED_UP = (
    Status("200", "OK", "Every instance is on disk and recorded."),
    Status("202", "Accepted", "Some are; the others have their Failure Reason."),
    Status("400", "Bad Request", "No part was a DICOM file, or there was none."),
    Status("401", "Unauthorized", "No token, or one that nobody has."),
    Status("403", "Forbidden", "The token is known, and its owner may not call from this address."),
    Status("409", "Conflict", "No instance was stored; each has its Failure Reason."),
    Status("500", "Internal Server Error", "A fault of this node."),
    Status(
        "503", "Service Unavailable", "No instance was stored, for want of room; Retry-After says when to try again."
    ),
)
_OF_SERVER = (
    "Nothing more is sent in this turn. The objects are sent again later, as after a failure above, and not before the "
    "time of Retry-After (in seconds, up to an hour)."
)


@dataclass(frozen=True, slots=True)
class Web:
    """Everything about DICOMweb."""

    host: str
    port: int
    tls: bool
    requires_certificate: bool
    #: Names of those who may store; empty where the service is off.
    senders: tuple[str, ...]
    #: Peers that get results by STOW-RS.
    destinations: tuple[WebDestination, ...]
    answered: tuple[Status, ...]
    failure_reasons: tuple[Status, ...]
    understood: tuple[Status, ...]
    service_root: str = SERVICE_ROOT
    most_parts: int = MOST_PARTS
    most_uploads: int = MOST_UPLOADS
    block_bytes: int = BLOCK_BYTES


def web_of(settings: Settings) -> Web:
    """Both roles under one configuration."""
    web = settings.web
    ways = map(settings.way_out, settings.deliver.peers)
    return Web(
        host=web.host,
        port=web.port,
        tls=web.tls is not None,
        requires_certificate=web.tls is not None and web.tls.require_peer_certificate,
        senders=() if web.stow is None else tuple(web.stow.senders),
        destinations=tuple(way for way in ways if isinstance(way, WebDestination)),
        answered=_answered(),
        failure_reasons=_failure_reasons(),
        understood=tuple(_understood()),
    )


def _answered() -> tuple[Status, ...]:
    refused = [
        Status(str(each.http_status), HTTPStatus(each.http_status).phrase, each.__doc__ or "")
        for each in RequestRefused.__subclasses__()
    ]
    return tuple(sorted((*_SUMMED_UP, *refused), key=lambda status: status.codes))


def _failure_reasons() -> tuple[Status, ...]:
    of_store = [
        Status(f"{each.status:04X}", each.meaning, each.__doc__ or "") for each in ReceiveError.__subclasses__()
    ]
    own = (
        Status(f"{SOP_CLASS_NOT_SUPPORTED:04X}", "Referenced SOP Class not supported", "See 7.2.4."),
        Status(f"{TRANSFER_SYNTAX_NOT_SUPPORTED:04X}", "Referenced Transfer Syntax not supported", "See 7.2.4."),
    )
    return tuple(sorted((*of_store, *own), key=lambda status: status.codes))


def _understood() -> Sequence[Status]:
    return [
        Status(
            f"{each.first}" if each.first == each.last else f"{each.first} to {each.last}",
            each.meaning,
            _OF_SERVER if each.of_server else REACTIONS[each.answer],
        )
        for each in HTTP_STATUS_RANGES
    ]
