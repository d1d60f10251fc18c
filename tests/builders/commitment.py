"""A node's storage commitment without the rest of it, and a peer whose answers a test chooses."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event

from dicom_node.associations import send_without_delay
from dicom_node.commitment_messages import (
    ALL_KEPT,
    FAILURES_EXIST,
    STORAGE_COMMITMENT,
    WELL_KNOWN_INSTANCE,
    report_dataset,
    report_of,
    request_of,
)
from dicom_node.commitment_scu import ProvingPeer
from dicom_node.commitment_service import CommitmentPeers, CommitmentService
from dicom_node.domain.commitment import CommitmentReport, CommitmentRequest, Proof
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.study import InstanceKind
from dicom_node.receiving import Receiver
from dicom_node.scp import Listener, StorageScp
from dicom_node.spool import Spool
from dicom_node.store import Store
from tests.builders.network import HOST, free_port, let_all_in

GIVE_UP_AFTER_S = 3600.0


@dataclass
class Clock:
    """Stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@dataclass
class CommittingNode:
    """The node, as far as commitment is concerned; `turn` does what the clock would."""

    store: Store
    clock: Clock
    destination: Destination
    service: CommitmentService

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, then run every task once."""
        self.clock.now += seconds
        for task in self.service.tasks:
            task.run()


@contextmanager
def committing_node(
    folder: Path, peer: Destination, proof: Proof = Proof.REQUEST, *, may_ask: bool = True, clock: Clock | None = None
) -> Iterator[CommittingNode]:
    """A node called NODE over the database in `folder`, which asks `peer`, and which `peer` may ask."""
    clock = clock or Clock()
    folder.mkdir(exist_ok=True)
    store = Store.open(folder / "node.db")
    here = Destination("node", "NODE", HOST, free_port())
    asking = {peer.name: peer} if may_ask else {}
    names = {each.ae_title: each.name for each in asking.values()}
    peers = CommitmentPeers(
        {} if proof is Proof.NONE else {peer.name: ProvingPeer(peer, proof)},
        asking,
        lambda request: names.get(request.calling_ae_title),
    )
    service = CommitmentService(store, peers, "NODE", RetryPolicy(GIVE_UP_AFTER_S, random.Random(1)), clock)
    receiver = Receiver(Spool(folder, minimum_free_bytes=0), store, lambda *_: InstanceKind.IMAGE)
    scp = StorageScp(Listener("NODE", HOST, here.port), receiver, let_all_in, lambda _: None, lambda _: None, clock)
    scp.also_serve(service.services)
    service.start()
    scp.start()
    try:
        yield CommittingNode(store, clock, here, service)
    finally:
        service.stop()
        scp.stop(grace_s=5.0)
        store.close()


@dataclass
class CommittingPeer:
    """A peer called PACS that is asked, asks, and notes what it hears."""

    destination: Destination
    #: What it answers to an N-ACTION.
    status: int = 0x0000
    #: Whether it reports at once, on the same association.
    reports_at_once: bool = False
    #: SOP Instance UID -> Failure Reason of what it does not keep.
    failing: dict[str, int] = field(default_factory=dict)
    #: What it answers to an N-EVENT-REPORT.
    report_status: int = 0x0000
    requests: list[CommitmentRequest] = field(default_factory=list)
    reports: list[CommitmentReport] = field(default_factory=list)
    #: What the node answered to the reports on the same association.
    answers: list[int | None] = field(default_factory=list)
    _unreported: bool = False

    def report_on(self, request: CommitmentRequest) -> CommitmentReport:
        """What it says of a request."""
        fails = [(each, self.failing[each.sop_instance_uid]) for each in request.references
                 if each.sop_instance_uid in self.failing]  # fmt: skip
        kept = [each for each in request.references if each.sop_instance_uid not in self.failing]
        return CommitmentReport(request.transaction_uid, tuple(kept), tuple(fails))

    def on_action(self, event: Event) -> tuple[int, None]:
        """N-ACTION."""
        self.requests.append(request_of(event.action_information))
        self._unreported = self.reports_at_once
        return self.status, None

    def on_sent(self, event: Event) -> None:
        """After the response has gone out; runs in the thread of the connection."""
        if self._unreported:
            self._unreported = False
            threading.Thread(target=self._report_on_same, args=[event.assoc, self.requests[-1]], daemon=True).start()

    def on_report(self, event: Event) -> tuple[int, None]:
        """N-EVENT-REPORT."""
        self.reports.append(report_of(event.event_information))
        return self.report_status, None

    def _report_on_same(self, association: Any, request: CommitmentRequest) -> None:
        self.answers.append(_send_report(association, report_dataset(self.report_on(request))))

    def report_to(
        self, node: Destination, report: CommitmentReport | Dataset, *, ae_title: str = "PACS", **changes: Any
    ) -> int | None:
        """N-EVENT-REPORT on an association of its own, as SCP (PS3.7 D.3.3.4); the node's status."""
        entity = _entity(ae_title)
        entity.add_requested_context(STORAGE_COMMITMENT)
        association = entity.associate(
            node.host, node.port, ae_title=node.ae_title, ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)]
        )
        assert association.is_established
        assert association.accepted_contexts[0].as_scp
        dataset = report_dataset(report) if isinstance(report, CommitmentReport) else report
        try:
            return _send_report(association, dataset, **changes)
        finally:
            association.release()


def _send_report(
    association: Any, dataset: Dataset, kind: int | None = None, instance: str = WELL_KNOWN_INSTANCE
) -> int | None:
    kind = kind or (FAILURES_EXIST if "FailedSOPSequence" in dataset else ALL_KEPT)
    status, _ = association.send_n_event_report(dataset, kind, STORAGE_COMMITMENT, instance)
    answer = status.get("Status")
    return None if answer is None else int(answer)


def _entity(ae_title: str) -> AE:
    entity = AE(ae_title=ae_title)
    entity.acse_timeout = entity.dimse_timeout = 20
    return entity


@contextmanager
def committing_peer(port: int | None = None) -> Iterator[CommittingPeer]:
    """It listens until the block ends."""
    peer = CommittingPeer(Destination("PACS", "PACS", HOST, port or free_port()))
    entity = _entity("PACS")
    entity.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
    server = entity.start_server(
        (HOST, peer.destination.port),
        block=False,
        evt_handlers=[
            (evt.EVT_CONN_OPEN, send_without_delay),
            (evt.EVT_N_ACTION, peer.on_action),
            (evt.EVT_N_EVENT_REPORT, peer.on_report),
            (evt.EVT_PDU_SENT, lambda event: peer.on_sent(event) if event.pdu.pdu_type == 4 else None),
        ],
    )
    try:
        yield peer
    finally:
        server.shutdown()
