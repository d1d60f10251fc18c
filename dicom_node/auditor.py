"""What the node and its commands tell the audit trail: facts of theirs, with the names the trail has for them."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydicom.dataset import Dataset

from dicom_node import audit_messages
from dicom_node.audit_file import AuditFile
from dicom_node.audit_forwarding import Forwarder, Reporter
from dicom_node.audit_messages import AuditedStudy, Entity
from dicom_node.audit_query import told_query
from dicom_node.audit_text import AuditSource
from dicom_node.audit_trail import AuditTrail
from dicom_node.calls import CallRegister
from dicom_node.domain.calls import Call, CallOutcome
from dicom_node.domain.errors import StoreError
from dicom_node.domain.study import ConflictingObject
from dicom_node.patient_identity import Identify, identification
from dicom_node.settings import Settings
from dicom_node.store import Store
from dicom_node.study_folders import StudyFolders
from dicom_node.transfers import Dispatch, Reception

_ALERTS = frozenset({CallOutcome.REJECTED, CallOutcome.NO_TLS})
#: Where Linux keeps who logged in, whatever `sudo` came after; this number, where nobody did.
_LOGIN_UID = Path("/proc/self/loginuid")
_NOBODY = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Site:
    """What an auditor knows of its node."""

    node: Entity
    storage: Path
    #: Name in the configuration -> the peer.
    peers: Mapping[str, Entity]
    identify: Identify
    #: Whether Patient IDs are told as they are.
    plain: bool


class Auditor:
    """Turns facts into messages. Safe for many threads; no method raises."""

    def __init__(self, trail: AuditTrail, site: Site, clock: Callable[[], float] = time.time) -> None:
        self._trail = trail
        self._site = site
        self._clock = clock

    def started(self) -> None:
        """The node listens."""
        self._trail.record(audit_messages.started(self._site.node, at=self._clock()))

    def stopped(self) -> None:
        """The node listens no more."""
        self._trail.record(audit_messages.stopped(self._site.node, at=self._clock()))

    def received(self, receptions: Iterable[Reception]) -> None:
        """Instances came, over associations that are over."""
        now = self._clock()
        self._trail.record(
            *(
                audit_messages.received(
                    self._site.node,
                    Entity(each.caller.calling_ae_title, each.caller.address),
                    self._study(each.study_instance_uid, each.path, each.instances),
                    known=each.known,
                    at=now,
                )
                for each in receptions
            )
        )

    def sent(self, dispatches: Iterable[Dispatch]) -> None:
        """Results went to peers, or never will."""
        now = self._clock()
        self._trail.record(
            *(
                audit_messages.sent(
                    self._site.node,
                    self._peer(each.peer),
                    self._study(each.study_instance_uid, each.path, each.instances),
                    failure=each.failure,
                    at=now,
                )
                for each in dispatches
            )
        )

    def called(self, calls: Iterable[Call]) -> None:
        """Some called; those that were not who they should be are an alert."""
        self._trail.record(
            *(audit_messages.not_let_in(self._site.node, call) for call in calls if call.outcome in _ALERTS)
        )

    def queried(self, peer: str, sop_class_uid: str, query: Dataset) -> None:
        """The node asked a peer; patients in its query stand as they do in the rest of the trail."""
        told = told_query(query, plain=self._site.plain)
        node = self._site.node
        self._trail.record(audit_messages.queried(node, self._peer(peer), sop_class_uid, told, at=self._clock()))

    def to_be_sent(self, study_instance_uid: str, peers: Iterable[str], person: str) -> None:
        """A person has results sent again."""
        study, now = self.study(study_instance_uid), self._clock()
        node = self._site.node
        self._trail.record(
            *(audit_messages.to_be_sent(node, self._peer(peer), study, person=person, at=now) for peer in peers)
        )

    def to_be_analysed(self, study_instance_uid: str, person: str) -> None:
        """A person has a study analysed again."""
        study, now = self.study(study_instance_uid), self._clock()
        self._trail.record(audit_messages.to_be_analysed(self._site.node, study, person=person, at=now))

    def deleted(self, studies: Iterable[AuditedStudy], person: str) -> None:
        """Studies are gone; `person` is empty where nobody asked for it."""
        now, node = self._clock(), self._site.node
        self._trail.record(*(audit_messages.deleted(node, study, person=person, at=now) for study in studies))

    def forward(self) -> None:
        """Send what waits for the collector."""
        self._trail.forward()

    def study(self, study_instance_uid: str) -> AuditedStudy:
        """A study by what is in its folders now."""
        received = _files(self._site.storage / "spool" / study_instance_uid)
        made = [] if received else _files(self._site.storage / "results" / study_instance_uid)
        first = next(iter(received or made), None)
        return self._study(study_instance_uid, first, {"": len(received)} if received else {})

    def _study(self, uid: str, path: Path | None, instances: Mapping[str, int]) -> AuditedStudy:
        return AuditedStudy(uid, "" if path is None else self._site.identify(path), instances)

    def _peer(self, name: str) -> Entity:
        return self._site.peers.get(name, Entity(name))


class AuditedCalls:
    """Calls on their way into the database, and into the audit trail."""

    def __init__(self, register: CallRegister, auditor: Auditor) -> None:
        self._register = register
        self._auditor = auditor

    def record_calls(self, calls: Sequence[Call]) -> None:
        """Both; raises StoreError for the database."""
        self._auditor.called(calls)
        self._register.record_calls(calls)


class AuditedFolders(StudyFolders):
    """The folders of studies, with word of each that goes; `person` is empty where nobody asks for it."""

    def __init__(self, root: Path, auditor: Auditor, person: str) -> None:
        super().__init__(root)
        self._auditor = auditor
        self._person = person
        self._gone: list[AuditedStudy] = []

    def discard(self, study_instance_uid: str, conflicts: Iterable[ConflictingObject] = ()) -> None:
        """Take a study out of its places; whose it was must be read before."""
        study = self._auditor.study(study_instance_uid)
        super().discard(study_instance_uid, conflicts)
        self._gone.append(study)

    def sweep(self) -> None:
        """Tell of what was taken out of its place, which the transaction around `discard` could not; delete it."""
        gone, self._gone = self._gone, []
        self._auditor.deleted(gone, self._person)
        super().sweep()


def auditor_of(settings: Settings, store: Store) -> Auditor:
    """The auditor of a configuration; messages for a collector wait in `store`. Raises StoreError."""
    own, storage, audit = settings.node, settings.node.storage, settings.audit
    node = Entity(own.ae_title, _machine())
    source = AuditSource(own.ae_title)
    file = AuditFile(audit.file or storage / "audit.jsonl", int(audit.maximum_mb * 1e6), audit.keep_files)
    collector = settings.collector
    forwarder = None
    if collector is not None and audit.syslog is not None:
        reporter = Reporter(node, source, _machine(), os.getpid())
        forwarder = Forwarder(store.audit_records, collector, reporter, audit.syslog.maximum_waiting)
    try:
        identify = identification(audit.patient_id, storage / "audit.key")
    except OSError as error:
        raise StoreError(
            f"{storage / 'audit.key'} cannot be used: {error.strerror}; run this as the service's user"
        ) from error
    peers = {name: Entity(peer.ae_title, peer.host) for name, peer in settings.dimse_peers.items()}
    web = {name: Entity(name, urlsplit(peer.dicomweb).hostname or "") for name, peer in settings.web_peers.items()}
    return Auditor(
        AuditTrail(node, source, file, forwarder),
        Site(node, storage, peers | web, identify, audit.patient_id == "plain"),
    )


def person() -> str:
    """Who runs this command, as `login@host` (PS3.15 A.5.2.1): who logged in, even behind `sudo`, if that is known."""
    user = os.getuid()
    try:
        logged_in = int(_LOGIN_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        logged_in = _NOBODY
    number = user if logged_in == _NOBODY else logged_in
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return f"{name}@{_machine()}"


def _machine() -> str:
    return socket.gethostname()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))
