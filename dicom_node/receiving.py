"""From received bytes to a recorded instance: identify, keep on disk, record; no network, no decoded pixels.

An instance is recorded only after its file is durable. Its sender may hear success as soon as it is accepted: sealed on
disk, from where it is recorded whatever happens to the node (recording.py, recovering.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dicom_node.domain.errors import OutOfResources, StoreError
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.domain.urgency import Urgency
from dicom_node.file_meta import file_meta_of
from dicom_node.identification import Announced, Arrival, Classify, Identity, identity_in
from dicom_node.part_file import Content, PartFile, Sealed
from dicom_node.spool import InstanceAddress, Kept, Spool
from dicom_node.store import Receipt
from dicom_node.urgency import Signs, UrgencyRules, urgency_of

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An instance that is on disk and in the database."""

    instance: Instance
    receipt: Receipt


class Request(Announced, Protocol):
    """What a C-STORE request says of itself and its data set."""

    @property
    def calling_ae_title(self) -> str:
        """Who sends it."""

    @property
    def priority(self) -> int:
        """Priority (0000,0700): 0 medium, 1 high, 2 low (PS3.7 9.3.1.1)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An object that is safe on disk, and neither filed nor recorded yet."""

    sealed: Sealed
    request: Request
    identity: Identity
    kind: InstanceKind
    urgency: Urgency
    #: When it was received, in seconds since the epoch.
    at: float


class InstanceRegister(Protocol):
    """Where received instances are recorded; the store."""

    def record_instances(self, received: Sequence[tuple[Instance, str, float]]) -> Sequence[Receipt]:
        """Instance, calling AE title, time of receipt: record all durably, or none; raises StoreError."""


class Receiver:
    """Keeps and records what arrives. Safe for many threads and processes, as far as its register is."""

    def __init__(
        self,
        spool: Spool,
        register: InstanceRegister,
        classify: Classify,
        urgency_rules: UrgencyRules = UrgencyRules(),  # noqa: B008  # frozen
    ) -> None:
        self._spool = spool
        self._register = register
        self._classify = classify
        self._urgency_rules = urgency_rules

    def receive(self, arrival: Arrival, *, now: float) -> Recorded:
        """Keep and record one arrival; on return it survives a power cut.

        Raises CannotUnderstand, DatasetMismatch or OutOfResources (PS3.4 B.2.3); then nothing is recorded.
        """
        with self.begin(arrival) as part:
            part.write(arrival.dataset)
            accepted = self.accept(part, arrival, now=now)
        try:
            [recorded] = self.record([accepted])
        finally:
            self._spool.let_go(accepted.sealed)
        return recorded

    def begin(self, request: Request) -> PartFile:
        """A file for the data set of a request, to be written and given to `accept`. Raises OutOfResources."""
        return self._spool.begin(
            file_meta_of(
                request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid, request.calling_ae_title
            )
        )

    def accept(self, part: PartFile, request: Request, *, now: float) -> Accepted:
        """What has come is whole: hold it to the request, and have it survive a power cut. Raises as `receive`.

        Whatever depends on its content is found out here: what is accepted, only disk or database can still refuse.
        """
        identity = identity_in(part.dataset(), request)
        kind, urgency = self._judged(request, identity)
        return Accepted(part.seal(request.priority), request, identity, kind, urgency, now)

    def accepted_before(self, sealed: Sealed, dataset: Content, request: Request, *, at: float) -> Accepted:
        """The same of what an earlier run has sealed."""
        identity = identity_in(dataset, request)
        return Accepted(sealed, request, identity, *self._judged(request, identity), at)

    def record(self, accepted: Sequence[Accepted]) -> list[Recorded]:
        """File and record what was accepted, in this order; many at once cost the disk little more than one.

        Raises OutOfResources; then none is recorded, and all of them may be tried again.
        """
        kept = [self._spool.place(each.sealed, each.identity.address) for each in accepted]
        self._spool.sync(kept)
        instances = [_instance(*each) for each in zip(accepted, kept, strict=True)]
        senders = [(each.request.calling_ae_title, each.at) for each in accepted]
        rows = [(instance, *sender) for instance, sender in zip(instances, senders, strict=True)]
        try:
            receipts = self._register.record_instances(rows)
        except StoreError as error:
            raise OutOfResources(f"{len(kept)} objects are on disk but cannot be recorded: {error}") from error
        return [self._settled(*each) for each in zip(accepted, kept, instances, receipts, strict=True)]

    def let_go(self, accepted: Sequence[Accepted]) -> None:
        """They are recorded."""
        for each in accepted:
            self._spool.let_go(each.sealed)

    def make_ready(self) -> None:
        """Make what is to come cheaper to begin, until `close`."""
        with suppress(OSError):  # then it costs what it costs, and says why
            self._spool.make_ready()

    def close(self) -> None:
        """Nothing is to come."""
        self._spool.close()

    def _settled(self, accepted: Accepted, kept: Kept, instance: Instance, receipt: Receipt) -> Recorded:
        address = accepted.identity.address
        if not kept.path.exists():  # its study was removed between the two: now that its row stands, this one stays
            kept = self._spool.place(accepted.sealed, address)
            self._spool.sync([kept])
        if receipt is Receipt.CONFLICT:
            instance = replace(instance, path=self._set_aside(kept, address))
        return Recorded(instance, receipt)

    def _judged(self, request: Request, identity: Identity) -> tuple[InstanceKind, Urgency]:
        signs = Signs(
            request.calling_ae_title, request.priority, identity.modality, identity.requested_procedure_priority
        )
        kind = self._classify(request.sop_class_uid, request.sop_instance_uid, identity.maker)
        return kind, urgency_of(signs, self._urgency_rules)

    def _set_aside(self, kept: Kept, address: InstanceAddress) -> Path:
        aside = self._spool.set_aside(kept, address)
        _LOGGER.warning(
            "%s of study %s arrived again with other content; the first stays, this one is kept as %s",
            address.sop_instance_uid,
            address.study_instance_uid,
            aside,
            extra={"action": "instance_conflict"},
        )
        return aside


def _instance(accepted: Accepted, kept: Kept) -> Instance:
    request, address = accepted.request, accepted.identity.address
    return Instance(
        sop_instance_uid=address.sop_instance_uid,
        sop_class_uid=request.sop_class_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
        series_instance_uid=address.series_instance_uid,
        study_instance_uid=address.study_instance_uid,
        kind=accepted.kind,
        path=kept.path,
        size_bytes=kept.size_bytes,
        digest=kept.digest,
        urgency=accepted.urgency,
    )
