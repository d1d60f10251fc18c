"""From received bytes to a recorded instance: identify, keep on disk, record; no network, no decoded pixels.

An instance is recorded only after its file is durable, and its sender hears success only after it is recorded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dicom_node.domain.errors import OutOfResources, StoreError
from dicom_node.domain.study import Instance
from dicom_node.identification import Announced, Arrival, Classify, Identity, identity_in
from dicom_node.part_file import PartFile
from dicom_node.spool import InstanceAddress, Kept, Spool, file_meta_of
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


class InstanceRegister(Protocol):
    """Where received instances are recorded; the store."""

    def record_instance(self, instance: Instance, *, calling_ae: str, now: float) -> Receipt:
        """Record durably; raises StoreError."""


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
            return self.finish(part, arrival, now=now)

    def begin(self, request: Request) -> PartFile:
        """A file for the data set of a request, to be written and given to `finish`. Raises OutOfResources."""
        return self._spool.begin(
            file_meta_of(request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
        )

    def finish(self, part: PartFile, request: Request, *, now: float) -> Recorded:
        """Keep and record what has come; as `receive`."""
        identity = identity_in(part.dataset(), request)
        address = identity.address
        kept = self._spool.place(part, address)
        instance = self._instance(request, identity, kept)
        try:
            receipt = self._register.record_instance(instance, calling_ae=request.calling_ae_title, now=now)
        except StoreError as error:
            raise OutOfResources(f"{address.sop_instance_uid} is on disk but cannot be recorded: {error}") from error
        if not kept.path.exists():  # its study was removed between the two: now that its row stands, this one stays
            with part.copied() as again:
                kept = self._spool.place(again, address)
        if receipt is Receipt.CONFLICT:
            instance = replace(instance, path=self._set_aside(kept, address))
        return Recorded(instance, receipt)

    def _instance(self, request: Request, identity: Identity, kept: Kept) -> Instance:
        address = identity.address
        signs = Signs(
            request.calling_ae_title, request.priority, identity.modality, identity.requested_procedure_priority
        )
        return Instance(
            sop_instance_uid=address.sop_instance_uid,
            sop_class_uid=request.sop_class_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            series_instance_uid=address.series_instance_uid,
            study_instance_uid=address.study_instance_uid,
            kind=self._classify(request.sop_class_uid, request.sop_instance_uid, identity.maker),
            path=kept.path,
            size_bytes=kept.size_bytes,
            digest=kept.digest,
            urgency=urgency_of(signs, self._urgency_rules),
        )

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
