"""Whom studies are pulled from, by the configuration: by a person's wish, or once a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dicom_node.admission import AssociationRequest
from dicom_node.auditor import Auditor
from dicom_node.catch_up import CatchUp, Window
from dicom_node.identification import Arrival
from dicom_node.pulling import Puller, Source
from dicom_node.receiving import Receiver
from dicom_node.schedule import Task
from dicom_node.settings import Settings
from dicom_node.store import Store
from dicom_node.transfers import Ending, Receptions


@dataclass(frozen=True, slots=True)
class PullAudit:
    """Who hears of queries, and of what came by C-GET."""

    auditor: Auditor
    receptions: Receptions[Ending]


class _Errand:
    """What comes by C-GET is told of as it comes: its association is the node's own."""

    def is_alive(self) -> bool:
        """Never."""
        return False


def puller(
    settings: Settings,
    peer: str,
    store: Store,
    receiver: Receiver,
    audit: PullAudit,
    clock: Callable[[], float] = time.time,
) -> Puller:
    """What has studies sent by a peer. Raises SettingsError when there is no peer of that name."""
    destination = settings.destination(peer)
    source = Source(
        destination, settings.dimse_peers[peer].retrieve, settings.node.ae_title, on_query=audit.auditor.queried
    )
    sender = AssociationRequest(destination.ae_title, settings.node.ae_title, destination.host, open_associations=0)
    errand = _Errand()

    def receive(arrival: Arrival) -> None:
        audit.receptions.note(errand, sender, receiver.receive(arrival, now=clock()))

    return Puller(source, store, receive, clock)


def catch_up(
    settings: Settings, store: Store, receiver: Receiver, audit: PullAudit, clock: Callable[[], float]
) -> CatchUp:
    """What asks peers for studies that never arrived."""
    section = settings.catch_up
    pullers = {peer: puller(settings, peer, store, receiver, audit, clock) for peer in section.peers}
    return CatchUp(pullers, store, Window(section.days, section.modalities, section.most_studies), clock)


def catch_up_tasks(settings: Settings, catching_up: CatchUp) -> tuple[Task, ...]:
    """The one run a day; none where nobody is to be asked."""
    section = settings.catch_up
    return (Task("catch up", section.time, catching_up.run),) if section.peers else ()
