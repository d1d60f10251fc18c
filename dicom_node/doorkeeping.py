"""Who is let in, and where the node listens: the decisions of admission on the peers of a configuration."""

from __future__ import annotations

import socket

from dicom_node.admission import AssociationRequest, KnownPeer, Rejected, admit, peer_that_calls
from dicom_node.scp import Listener
from dicom_node.settings import Settings
from dicom_node.tls import ServerTls


def admission(settings: Settings, request: AssociationRequest) -> Rejected | None:
    """Whether an association may come in, by the configuration; its peer's host name is resolved anew each time."""
    calling = request.calling_ae_title.strip(" ")
    peers = [
        known_peer(settings, name, resolve=peer.ae_title == calling) for name, peer in settings.dimse_peers.items()
    ]
    verdict = admit(request, peers, settings.node.ae_title, settings.node.maximum_associations)
    return verdict if isinstance(verdict, Rejected) else None


def calling_sender(settings: Settings, request: AssociationRequest) -> str | None:
    """The name of the peer that calls, if it may send; None for others."""
    calling = request.calling_ae_title.strip(" ")
    senders = (name for name in settings.receive.senders if settings.dimse_peers[name].ae_title == calling)
    return peer_that_calls(request, [known_peer(settings, name, resolve=True) for name in senders])


def known_peer(settings: Settings, name: str, *, resolve: bool) -> KnownPeer:
    """A peer as admission sees it; nobody waits for the name server for a peer that does not call."""
    peer = settings.dimse_peers[name]
    found = peer.addresses or (_addresses(peer.host) if resolve else frozenset())
    return KnownPeer(
        name,
        peer.ae_title,
        found,
        addresses_key="host" if peer.addresses is None else "addresses",
        may_send=name in settings.receive.senders,
        may_report=name in settings.reporting,
        maximum_associations=peer.maximum_associations,
    )


def listener(settings: Settings) -> Listener:
    """Where the node listens, as whom, within which bounds. Raises SettingsError for TLS files that cannot be used."""
    node, files = settings.node, settings.own_tls
    tls = None
    if node.tls is not None and files is not None:
        tls = ServerTls(files, require_peer_certificate=node.tls.require_peer_certificate)
    return Listener(node.ae_title, node.host, node.port, settings.receive.bounds, tls)


def _addresses(host: str) -> frozenset[str]:
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except OSError:  # a name nobody knows now has no address: the association is rejected, with that reason
        return frozenset()
