"""The web server of a configuration, with the services it names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from dicom_node.credentials import read_secret
from dicom_node.domain.errors import SettingsError
from dicom_node.receiving import Receiver
from dicom_node.settings import Settings
from dicom_node.tls import ServerTls
from dicom_node.web.access import KnownSender
from dicom_node.web.multipart_related import PartBounds
from dicom_node.web.server import WebListener, WebServer
from dicom_node.web.store_instances import Hearers, StoreBounds, StoreInstances
from dicom_node.web.uploads import Uploads
from dicom_node.web_settings import StowSection

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Web:
    """A web server, and what is under way there."""

    server: WebServer
    uploads: Uploads


def web_of(
    settings: Settings,
    receiver: Receiver,
    sop_classes: Collection[str],
    hearers: Hearers,
    clock: Callable[[], float],
) -> Web | None:
    """None where no service is configured. Raises SettingsError for TLS files that cannot be used."""
    stow = settings.web.stow
    if stow is None:
        return None
    bounds = settings.receive.bounds
    part = PartBounds(bounds.object_bytes, settings.node.storage / "incoming", settings.receive.minimum_free_bytes)
    service = StoreInstances(
        receiver, lambda: tuple(known_senders(stow)), sop_classes, StoreBounds(part, bounds.idle_s), hearers, clock
    )
    listener = WebListener(settings.web.host, settings.web.port, bounds.artim_s, _tls(settings))
    return Web(WebServer(listener, service.routes), service.uploads)


def known_senders(stow: StowSection) -> Iterator[KnownSender]:
    """Those of the configuration, with the tokens as they are now; one whose file cannot be used may not store."""
    for name, sender in stow.senders.items():
        try:
            token = None if sender.token_file is None else read_secret(sender.token_file)
        except SettingsError as error:
            _LOGGER.error(  # noqa: TRY400  # the message is the remedy
                "%s may not store: %s", name, error, extra={"action": "token_unusable"}
            )
        else:
            yield KnownSender(name, token, sender.addresses)


def _tls(settings: Settings) -> ServerTls | None:
    files = settings.web_tls
    if files is None or settings.web.tls is None:
        return None
    return ServerTls(files, require_peer_certificate=settings.web.tls.require_peer_certificate)
