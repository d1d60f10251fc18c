"""Both roles of storage commitment as one part of the node: what it serves, and what it does by the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pynetdicom.events import EventHandlerType

from dicom_node.admission import AssociationRequest
from dicom_node.commitment_reports import ReportDesk, confined
from dicom_node.commitment_scp import CommitmentScp
from dicom_node.commitment_scu import Prover, ProvingPeer
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.peers import OnQuery, to_nobody
from dicom_node.schedule import Task
from dicom_node.store import Store

_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class CommitmentPeers:
    """Who is asked to commit, and who may ask; by their names in the configuration."""

    proving: Mapping[str, ProvingPeer]
    asking: Mapping[str, Destination]
    #: The name of the one that calls, if it may ask; None for others.
    who_asks: Callable[[AssociationRequest], str | None]


class CommitmentService:
    """Asks, and is asked, between `start` and `stop`. `tasks` are for the schedule."""

    def __init__(
        self,
        store: Store,
        peers: CommitmentPeers,
        own_ae_title: str,
        policy: RetryPolicy,
        clock: Callable[[], float],
        on_query: OnQuery = to_nobody,
    ) -> None:
        self._store = store
        self._peers = peers
        called = {name: peer.destination for name, peer in peers.proving.items()}
        self._desk = ReportDesk(store.proofs, called, policy, clock)
        self._scp = CommitmentScp(store.promises, peers.asking, peers.who_asks, own_ae_title, policy, clock)
        provers = {
            name: Prover(store.proofs, peer, own_ae_title, self._desk, policy, clock, on_query)
            for name, peer in peers.proving.items()
        }
        self.tasks: tuple[Task, ...] = (
            *(Task(f"have {name} prove", _EVERY_S, prover.prove) for name, prover in provers.items()),
            *(Task(f"report to {name}", _EVERY_S, partial(self._scp.report_to, name)) for name in peers.asking),
        )

    @property
    def services(self) -> tuple[EventHandlerType, ...]:
        """What the listening entity is to bind."""
        return (confined(self._may_send), *self._desk.services, *self._scp.services)

    def start(self) -> None:
        """Let go of what concerns peers that the configuration does not name any more."""
        self._store.proofs.await_only_from(self._peers.proving)
        self._scp.drop_strangers()

    def stop(self) -> None:
        """Wait for no report any more; whoever is waiting goes on at the next start."""
        self._desk.close()

    def _may_send(self, request: AssociationRequest) -> bool:
        return self._peers.who_asks(request) is not None
