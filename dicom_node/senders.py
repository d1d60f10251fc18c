"""The way to a peer, whichever it is: objects go by C-STORE or by STOW-RS, and whoever sends them need not know."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dicom_node.domain.delivery import Destination
from dicom_node.domain.web import WebDestination
from dicom_node.storage_scu import ContextWish, open_storage
from dicom_node.stow import open_stow


class ObjectSender(Protocol):
    """Sends files to one peer."""

    @property
    def peer(self) -> str:
        """The destination's name in the configuration."""

    @property
    def refused_classes(self) -> frozenset[str]:
        """The SOP classes that are known to be refused before anything is sent."""

    def send(self, path: Path) -> int:
        """Store the object at `path` at the peer; the status, success or warning.

        Raises PeerUnreachable (retry, with a new sender), PeerRefused (retry later), SopClassRefused (something else
        may take its place) or ObjectRejected (final).
        """


def open_sender(
    destination: Destination | WebDestination, own_ae_title: str, wishes: Collection[ContextWish]
) -> AbstractContextManager[ObjectSender]:
    """A sender for objects of these SOP classes and transfer syntaxes.

    Entering it raises PeerUnreachable or PeerRefused when there is no way to the peer now.
    """
    if isinstance(destination, WebDestination):
        return open_stow(destination)
    return open_storage(destination, own_ae_title, wishes)
