"""Peers on the loopback interface and in-memory stores, for tests of everything that talks DICOM."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dicom_node.admission import AssociationRequest
from dicom_node.archive import Archive
from dicom_node.domain.bounds import Bounds
from dicom_node.domain.breaker import CLOSED, Breaker
from dicom_node.domain.calls import Call
from dicom_node.domain.delivery import Delivery, Destination
from dicom_node.domain.refusal import Refusal
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.receiving import Receiver
from dicom_node.scp import Admission, Listener, StorageScp
from dicom_node.spool import Spool
from dicom_node.store import Receipt
from dicom_node.tls import ServerTls
from tests.builders.datasets import encoded, mr_series

HOST = "127.0.0.1"
PATIENCE_S = 20.0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def saved(dataset: Dataset, folder: Path) -> Path:
    """The data set as a file, named by its SOP Instance UID."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(encoded(dataset))
    return path


def image_series(study: str = "study") -> list[Dataset]:
    """Three small MR images with pixels."""
    shape = (3, 64, 48)
    return mr_series(shape, pixels=np.arange(np.prod(shape)).reshape(shape), study=study)


def dataset_bytes(path: Path) -> bytes:
    """What follows the file meta information of a DICOM file."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


@dataclass
class MemoryRegister:
    """Records received instances in memory, as the store does on disk; `heard` is set at each."""

    instances: dict[str, Instance] = field(default_factory=dict)
    callers: list[str] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def record_instance(self, instance: Instance, *, calling_ae: str, now: float) -> Receipt:
        """NEW, DUPLICATE for the same bytes, CONFLICT for others under the same UID."""
        self.heard.set()
        self.callers.append(calling_ae)
        known = self.instances.setdefault(instance.sop_instance_uid, instance)
        if known is instance:
            return Receipt.NEW
        return Receipt.DUPLICATE if known.digest == instance.digest else Receipt.CONFLICT

    def record_instances(self, received: Sequence[tuple[Instance, str, float]]) -> list[Receipt]:
        """Each, in order."""
        return [self.record_instance(instance, calling_ae=sender, now=now) for instance, sender, now in received]


@dataclass
class MemoryDeliveries:
    """Deliveries in memory, as the store keeps them on disk."""

    waiting: dict[int, Delivery] = field(default_factory=dict)
    due_at: dict[int, float] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    buried: dict[int, str] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    refusals: dict[str, dict[str, Refusal]] = field(default_factory=dict)

    def add(self, path: Path, *, peer: str, job_id: int = 1, sop_class_uid: str = "") -> int:
        """A delivery that is due at once; its ID."""
        delivery_id = len(self.due_at) + 1
        self.waiting[delivery_id] = Delivery(
            delivery_id, job_id, peer, path, sop_class_uid, path.stem, attempt=1, failing_since=None
        )
        self.due_at[delivery_id] = 0.0
        return delivery_id

    def due(self, *, now: float) -> tuple[Delivery, ...]:
        """What is waiting and due, in the order it was added."""
        return tuple(delivery for key, delivery in sorted(self.waiting.items()) if self.due_at[key] <= now)

    def breaker(self, peer: str) -> Breaker:
        """As it was noted."""
        return self.breakers.get(peer, CLOSED)

    def peer_fails(self, peer: str, breaker: Breaker, *, now: float) -> int:
        """Note it; while it is open, all that waits for the peer is failing."""
        self.breakers[peer] = breaker
        of_peer = {key: each for key, each in self.waiting.items() if each.peer == peer}
        for key, each in of_peer.items() if breaker.is_open else ():
            self.waiting[key] = replace(each, failing_since=now if each.failing_since is None else each.failing_since)
            self.reasons[key] = breaker.reason
        return len(of_peer)

    def peer_answers(self, peer: str, *, now: float) -> int:
        """All that waits for it is due."""
        del self.breakers[peer]
        of_peer = [key for key, each in self.waiting.items() if each.peer == peer]
        self.due_at |= dict.fromkeys(of_peer, now)
        return len(of_peer)

    def refused_classes(self, *, now: float) -> Mapping[str, frozenset[str]]:
        """All that was remembered, however long ago."""
        return {peer: frozenset(refusals) for peer, refusals in self.refusals.items()}

    def remember(self, peer: str, refusals: Collection[Refusal], *, now: float) -> None:
        """For good."""
        self.refusals.setdefault(peer, {}).update({each.sop_class_uid: each for each in refusals})

    def replace(self, job_id: int, peer: str, refusals: Collection[Refusal], *, now: float) -> bool:
        """Take back what waits of the job."""
        taken = [key for key, each in self.waiting.items() if (each.job_id, each.peer) == (job_id, peer)]
        for key in taken:
            del self.waiting[key]
        return bool(taken)

    def sent(self, delivery_id: int, *, status: int, now: float) -> None:
        """Arrived."""
        del self.waiting[delivery_id]
        self.statuses[delivery_id] = status

    def postpone(self, delivery_id: int, *, reason: str, due_at: float, now: float) -> None:
        """One attempt more, later."""
        waiting = self.waiting[delivery_id]
        since = now if waiting.failing_since is None else waiting.failing_since
        self.waiting[delivery_id] = replace(waiting, attempt=waiting.attempt + 1, failing_since=since)
        self.due_at[delivery_id] = due_at
        self.reasons[delivery_id] = reason

    def dead(self, delivery_id: int, *, reason: str, now: float) -> None:
        """Given up."""
        del self.waiting[delivery_id]
        self.buried[delivery_id] = reason


@dataclass(frozen=True, slots=True)
class TestNode:
    """A Storage SCP under test, and all it has touched."""

    __test__ = False

    scp: StorageScp
    destination: Destination
    folder: Path
    _register: MemoryRegister
    _stored: list[Instance]
    calls: list[Call] = field(default_factory=list)

    @property
    def register(self) -> MemoryRegister:
        """With all that was answered with success so far."""
        self.settle()
        return self._register

    @property
    def stored(self) -> list[Instance]:
        """New ones, in the order in which they were told of."""
        self.settle()
        return self._stored

    @property
    def files(self) -> list[Path]:
        """Every instance file, of the spool and in conflict."""
        self.settle()
        return sorted(self.folder.rglob("*.dcm"))

    @property
    def unfinished(self) -> list[Path]:
        """What has come in part, or whole and is not recorded yet."""
        self.settle()
        return [path for path in (self.folder / "incoming").iterdir() if path.stat().st_size]

    def settle(self) -> None:
        """Wait until all that was answered with success is recorded."""
        self.scp.flush()


def let_all_in(request: AssociationRequest) -> None:
    """Admission without conditions."""


@contextmanager
def running_node(
    folder: Path,
    *,
    admission: Admission = let_all_in,
    register: MemoryRegister | None = None,
    port: int | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    tls: ServerTls | None = None,
) -> Iterator[TestNode]:
    """A Storage SCP called NODE that listens, on a free port by default, until the block ends."""
    destination = Destination("node", "NODE", HOST, port or free_port())
    register = register or MemoryRegister()
    receiver = Receiver(Spool(folder, minimum_free_bytes=0), register, lambda *_: InstanceKind.IMAGE)
    stored: list[Instance] = []
    calls: list[Call] = []
    listener = Listener("NODE", HOST, destination.port, bounds, tls)
    scp = StorageScp(listener, receiver, admission, stored.append, calls.append)
    scp.start()
    try:
        yield TestNode(scp, destination, folder, register, stored, calls)
    finally:
        scp.stop(grace_s=5.0)


@contextmanager
def running_archive(
    folder: Path,
    *,
    name: str = "archive",
    port: int | None = None,
    known: tuple[Destination, ...] = (),
    route_to: Destination | None = None,
) -> Iterator[tuple[Archive, Destination]]:
    """An embedded archive called ARCHIVE that listens until the block ends; `name` is the peer's in a configuration."""
    destination = Destination(name, "ARCHIVE", HOST, port or free_port())
    archive = Archive("ARCHIVE", HOST, destination.port, folder, known, route_to)
    archive.start()
    try:
        yield archive, destination
    finally:
        archive.stop()
