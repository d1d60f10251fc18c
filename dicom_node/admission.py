"""Who may come in: decisions of values alone, each with its reason and the setting that would change it.

Nothing here touches clock, disk or network; addresses and counts come in as arguments.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """Who asks to come in."""

    calling_ae_title: str
    called_ae_title: str
    #: The peer's IP address.
    address: str
    #: Associations open now, this one not counted.
    open_associations: int
    #: Those of them whose calling AE title is the same.
    open_of_caller: int = 0


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """A peer of the configuration. `name` is its key there."""

    name: str
    ae_title: str
    #: IP addresses and networks (CIDR) it may call from.
    addresses: Collection[str]
    #: The keys these stand under.
    addresses_key: str = "host"
    #: Whether `receive.from` names it.
    may_send: bool = True
    #: Whether it comes in to report on storage commitment, if for nothing else.
    may_report: bool = False
    #: None: as many as the node takes.
    maximum_associations: int | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The association may come in."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The association may not come in: Result, Source and Reason/Diag. of the A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    diagnostic: int
    #: For the log; the peer is told the numbers only.
    reason: str
    #: What would let it in; settings stand between backticks, as YAML.
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One A-ASSOCIATE-RJ (PS3.8 Table 9-21): its numbers, the standard's name, and when this node sends it."""

    result: int
    source: int
    diagnostic: int
    name: str
    cause: str


_CALLING_AE_TITLE_NOT_RECOGNIZED = Rejection(
    1,
    1,
    3,
    "calling-AE-title-not-recognized",
    "AE title or address of the peer is in no entry of receive.from, nor is it to report on storage commitment",
)
_CALLED_AE_TITLE_NOT_RECOGNIZED = Rejection(
    1, 1, 7, "called-AE-title-not-recognized", "another AE title than node.ae_title was called"
)
_LOCAL_LIMIT_EXCEEDED = Rejection(
    2,
    3,
    2,
    "local-limit-exceeded",
    "node.maximum_associations are open, or as many of this peer as its maximum_associations; it may try again",
)
_NO_REASON_GIVEN = Rejection(2, 1, 1, "no-reason-given", "a fault of this node; the peer may try again")
#: Every rejection of this node.
REJECTIONS = (
    _CALLED_AE_TITLE_NOT_RECOGNIZED,
    _CALLING_AE_TITLE_NOT_RECOGNIZED,
    _NO_REASON_GIVEN,
    _LOCAL_LIMIT_EXCEEDED,
)


#: What holds until there is a decision: a fault lets nobody in.
UNDECIDED = Rejected(2, 1, 1, "a fault of this node, which could not decide", "report it with the log")


def admit(
    request: AssociationRequest, peers: Sequence[KnownPeer], own_ae_title: str, maximum_associations: int
) -> Admitted | Rejected:
    """Whether an association may come in: whom it calls, who it says it is, where it comes from, and is there room?

    Spaces around an AE title do not count (PS3.5 6.2). The standard has no diagnostic for a known AE title at a
    strange address; for the peer that is a calling AE title not recognised, the reason tells the difference.
    """
    calling, called = request.calling_ae_title.strip(" "), request.called_ae_title.strip(" ")
    if called != own_ae_title.strip(" "):
        return _rejected(
            _CALLED_AE_TITLE_NOT_RECOGNIZED,
            f"it called {called!r}, but this node is {own_ae_title!r}",
            f"have the peer call {own_ae_title!r}, or set `node: {{ae_title: {_yaml(called)}}}`",
        )
    namesakes = [peer for peer in peers if peer.ae_title.strip(" ") == calling]
    welcome = [peer for peer in namesakes if peer.may_send or peer.may_report]
    if not welcome:
        return _stranger(calling, request.address, namesakes, peers)
    at_home = next((peer for peer in welcome if is_in(request.address, peer.addresses)), None)
    if at_home is None:
        return _elsewhere(calling, request.address, welcome)
    return _room(request, at_home, maximum_associations)


def peer_that_calls(request: AssociationRequest, peers: Sequence[KnownPeer]) -> str | None:
    """The name of the peer whose AE title and address both fit; None when no one's do."""
    calling = request.calling_ae_title.strip(" ")
    fitting = (
        peer.name for peer in peers if peer.ae_title.strip(" ") == calling and is_in(request.address, peer.addresses)
    )
    return next(fitting, None)


def _stranger(
    calling: str, address: str, namesakes: Sequence[KnownPeer], peers: Sequence[KnownPeer]
) -> Admitted | Rejected:
    reason = f"no peer in receive.from has the AE title {calling!r}"
    name = namesakes[0].name if namesakes else re.sub(r"\W", "_", calling) or "CALLER"
    senders = ", ".join(_yaml(each) for each in (*(peer.name for peer in peers if peer.may_send), name))
    allow = f"set `receive: {{from: [{senders}]}}`"
    if not namesakes:
        entry = f"{{ae_title: {_yaml(calling)}, host: {_yaml(_plain(address))}, port: 104}}"
        allow = f"add `{_yaml(name)}: {entry}` under peers, with the port it listens on, and {allow}"
    return _rejected(_CALLING_AE_TITLE_NOT_RECOGNIZED, reason, allow)


def _elsewhere(calling: str, address: str, namesakes: Sequence[KnownPeer]) -> Rejected:
    known = ", ".join(
        f"peers.{peer.name}.{peer.addresses_key} ({' '.join(sorted(peer.addresses)) or 'unknown'})"
        for peer in namesakes
    )
    peer = namesakes[0]
    kept = peer.addresses if peer.addresses_key == "addresses" else ()
    listed = ", ".join(_yaml(each) for each in (*sorted(kept), _plain(address)))
    return _rejected(
        _CALLING_AE_TITLE_NOT_RECOGNIZED,
        f"{calling!r} came from {address}, which is not the address of {known}",
        f"correct the host, or add `addresses: [{listed}]` to peers.{peer.name}",
    )


def _room(request: AssociationRequest, peer: KnownPeer, maximum_associations: int) -> Admitted | Rejected:
    own = peer.maximum_associations
    if own is not None and request.open_of_caller >= own:
        return _rejected(
            _LOCAL_LIMIT_EXCEEDED,
            f"{request.open_of_caller} associations of {peer.name} are open, and it may have {own}",
            f"have it try again, or set `maximum_associations: {own + 1}` or more in peers.{peer.name}",
        )
    if request.open_associations >= maximum_associations:
        return _rejected(
            _LOCAL_LIMIT_EXCEEDED,
            f"{request.open_associations} associations are open, and node.maximum_associations is "
            f"{maximum_associations}",
            f"have it try again, or set `node: {{maximum_associations: {maximum_associations * 2}}}`",
        )
    return Admitted(f"is peer {peer.name}; {request.open_associations} of {maximum_associations} associations are open")


def _rejected(rejection: Rejection, reason: str, remedy: str) -> Rejected:
    return Rejected(rejection.result, rejection.source, rejection.diagnostic, reason, remedy)


def is_in(address: str, allowed: Collection[str]) -> bool:
    """Whether an IP address is one of these addresses and networks."""
    plain = _plain(address)
    if plain in map(_plain, allowed):
        return True
    networks = (ipaddress.ip_network(each, strict=False) for each in allowed if "/" in each)
    try:
        return any(ipaddress.ip_address(plain) in network for network in networks)
    except ValueError:
        return False


def _plain(address: str) -> str:
    """An IP address in its one shortest form: a dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _yaml(text: str) -> str:
    """Text as it may stand in a YAML list: in quotes unless it is a plain word."""
    return text if re.fullmatch(r"[A-Z][A-Z0-9_]*|\d+(\.\d+){3}(/\d+)?", text) else json.dumps(text)
