"""The connection doctor: whether this node and a peer reach each other, both ways."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence

from dicom_node.admission import is_in
from dicom_node.checks import Check, Verdict, reached
from dicom_node.domain.calls import Call, CallOutcome
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError
from dicom_node.domain.web import WebDestination
from dicom_node.doorkeeping import known_peer
from dicom_node.settings import Settings


def examine(settings: Settings, name: str, calls: Sequence[Call]) -> Iterator[Check]:
    """Our C-ECHO to a peer, then its `calls` to us, the latest first; a DICOMweb peer does not call.

    Raises SettingsError when there is no such peer.
    """
    peer = settings.way_out(name)
    yield _outward(peer, settings.node.ae_title)
    if isinstance(peer, WebDestination):
        return
    addresses = known_peer(settings, name, resolve=True).addresses
    theirs = [call for call in calls if _may_be(call, peer.ae_title, addresses)]
    yield _inward(peer, settings, theirs)


def _may_be(call: Call, ae_title: str, addresses: Collection[str]) -> bool:
    """By the AE title; one that told none, by its address."""
    return call.calling_ae_title == ae_title or (not call.calling_ae_title and is_in(call.address, addresses))


def _outward(peer: Destination | WebDestination, own_ae_title: str) -> Check:
    subject = f"{own_ae_title} to {peer.name}"
    try:
        return Check(subject, Verdict.OK, reached(peer, own_ae_title))
    except DeliveryError as error:
        return Check(subject, Verdict.FAILED, str(error))


def _inward(peer: Destination, settings: Settings, calls: Sequence[Call]) -> Check:
    node = settings.node
    subject = f"{peer.name} to {node.ae_title}"
    if not calls:
        here = f"{node.ae_title} on port {node.port}{' over TLS' if node.tls else ''}"
        detail = f"nobody has called as {peer.ae_title}; have it send a C-ECHO to {here}"
        return Check(subject, Verdict.WARNING, detail)
    last = calls[0]
    told = f"called {_time(last.last_at)} from {last.address}: {last.outcome}, {last.reason}"
    if last.outcome is CallOutcome.ACCEPTED:
        allowed = peer.name in settings.receive.senders
        return Check(subject, Verdict.OK if allowed else Verdict.WARNING, told)
    before = next((call for call in calls if call.outcome is CallOutcome.ACCEPTED), None)
    earlier = f"; it was let in {_time(before.last_at)}" if before else "; it was never let in"
    return Check(subject, Verdict.FAILED, f"{told}; {last.remedy}{earlier}")


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
