"""The composition root: settings become objects, threads and processes; the only file that knows everyone."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from functools import partial

from pydicom.dataset import Dataset

from dicom_node.auditor import AuditedCalls, AuditedFolders, auditor_of
from dicom_node.bell import Bell
from dicom_node.calls import CallBook
from dicom_node.clock_watch import ClockWatch
from dicom_node.commitment_scu import ProvingPeer
from dicom_node.commitment_service import CommitmentPeers, CommitmentService
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.errors import Fault, SettingsError, StoreError
from dicom_node.domain.study import Instance, InstanceKind, Maker
from dicom_node.doorkeeping import admission, calling_sender, listener
from dicom_node.equipment import is_own
from dicom_node.holdings import instances_held
from dicom_node.inquiries import Inquiries
from dicom_node.intake import classify_object
from dicom_node.outbox import Outbox
from dicom_node.peers import find
from dicom_node.pull_sources import PullAudit, catch_up, catch_up_tasks
from dicom_node.receiving import Receiver
from dicom_node.recovering import recover
from dicom_node.retention import Limits, Retention
from dicom_node.schedule import Schedule, Task
from dicom_node.scp import StorageScp, storage_sop_classes
from dicom_node.settings import Settings
from dicom_node.settling import settle_complete_studies
from dicom_node.spool import Spool
from dicom_node.storage_folder import lock_folder, look_for_lost_records, sound_store
from dicom_node.store import Store
from dicom_node.study_folders import StudyFolders
from dicom_node.study_rules import answering_senders, patience_for, urgency_rules
from dicom_node.transfers import Dispatches, Ending, Receptions
from dicom_node.web.serving import web_of
from dicom_node.web.store_instances import Hearers
from dicom_node.workers import Workers
from inference.stages import CascadeError, load_cascade
from sr_writer.provenance import is_own_uid

_LOGGER = logging.getLogger(__name__)

_SETTLE = "settle"
_SETTLE_EVERY_S = 0.5
_WAKE_EVERY_S = 0.5
_DELIVER_EVERY_S = 0.5
_NOTE_CALLS_EVERY_S = 1.0
_AUDIT_EVERY_S = 1.0
_BURY_EVERY_S = 60.0
_RETAIN_EVERY_S = 600.0
#: How long each part may take to finish what it is doing when the node stops.
_GRACE_S = 8.0
_ANSWER_GRACE_S = 1.0


class Node:
    """The whole node: receives, settles, analyses and delivers between `start` and `stop`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._folder_lock = lock_folder(settings.node.storage)
        try:
            self.store = sound_store(settings.database)
        except StoreError:
            os.close(self._folder_lock)
            raise
        self._spool = Spool(settings.node.storage, settings.receive.minimum_free_bytes)
        receiver = Receiver(self._spool, self.store, classify, urgency_rules(settings))
        recover(self._spool, receiver, self.store, now=clock())
        look_for_lost_records(self.store, self._spool)
        self._audit = auditor_of(settings, self.store)
        self._receptions: Receptions[Ending] = Receptions()
        self._dispatches = Dispatches()
        self._listens = False
        folders = AuditedFolders(settings.node.storage, self._audit, person="")
        folders.sweep()
        self._arriving: frozenset[str] = frozenset()
        self._results_bell = Bell(self._deliver_soon)
        self._workers = Workers(settings, self._results_bell.ringer)
        # chance spreads retries, and guards nothing
        policy = RetryPolicy(settings.deliver.give_up_after_hours * 3600, random.Random())
        self._outbox = Outbox(
            self.store,
            {name: settings.way_out(name) for name in settings.outgoing_peers},
            settings.node.ae_title,
            clock,
            policy,
            {destination.peer: destination.wanted for destination in settings.deliver.to},
            self._dispatches.note,
        )
        self._made_at = time.monotonic()
        self._clock_watch = ClockWatch(self.store, clock, self._clock_was_set)
        self._calls = CallBook(AuditedCalls(self.store.calls, self._audit))
        self._web = web_of(
            settings, receiver, storage_sop_classes(), Hearers(self._calls.note, self._receptions.note), clock
        )
        self._catch_up = catch_up(settings, self.store, receiver, PullAudit(self._audit, self._receptions), clock)
        self._scp = StorageScp(
            listener(settings),
            receiver,
            partial(admission, settings),
            on_stored=self._stored,
            on_call=self._calls.note,
            clock=clock,
            on_received=self._receptions.note,
        )
        self._inquiries = Inquiries(answering_senders(settings), self._count_held, self._settle_soon)
        self._commitment = CommitmentService(
            self.store,
            commitment_peers(settings),
            settings.node.ae_title,
            policy,
            clock,
            self._audit.queried,
        )
        self._scp.also_serve(self._commitment.services)
        self._scp.tell_of_ends(self._settle_soon)
        self._schedule = Schedule(
            [
                Task(_SETTLE, _SETTLE_EVERY_S, self._settle),
                Task("wake the workers", _WAKE_EVERY_S, self._workers.tick),
                Task("note who called", _NOTE_CALLS_EVERY_S, self._calls.flush),
                Task("bury strays", _BURY_EVERY_S, self._outbox.bury_strays),
                Task("audit what came", _AUDIT_EVERY_S, self._audit_receptions),
                Task("forward the audit trail", _AUDIT_EVERY_S, self._audit.forward),
                *retention_tasks(settings, self.store, folders, clock, self._clock_watch.is_trusted),
                *self._commitment.tasks,
                *catch_up_tasks(settings, self._catch_up),
                *(
                    Task(_deliver_to(peer), _DELIVER_EVERY_S, partial(self._deliver_to, peer))
                    for peer in settings.outgoing_peers
                ),
            ]
        )

    @property
    def address(self) -> str:
        """`AE@host:port`."""
        node = self._settings.node
        return f"{node.ae_title}@{node.host}:{node.port}"

    def start(self) -> None:
        """Accept associations from now on. Raises OSError when a port is taken."""
        self._commitment.start()
        self._scp.start()
        if self._web is not None:
            self._web.server.start()
        self._clock_watch.start()
        self._listens = True
        self._audit.started()
        self._schedule.start()
        self._results_bell.start()

    def stop(self) -> None:
        """Take no more, finish what is being written, and leave the rest on disk for the next start."""
        if self._web is not None:
            self._web.server.stop(_GRACE_S)
        self._scp.stop(_GRACE_S)
        self._clock_watch.stop()
        self._outbox.stop()
        self._commitment.stop()
        self._catch_up.stop()
        self._schedule.stop()
        self._inquiries.stop(_ANSWER_GRACE_S)
        self._workers.stop(_GRACE_S)
        self._results_bell.stop()
        self._calls.flush()
        self._audit.received(self._receptions.over(all_are=True))
        self._audit.sent(self._dispatches.over())
        if self._listens:
            self._audit.stopped()
            self._audit.forward()
        self.store.close()
        os.close(self._folder_lock)

    def _deliver_to(self, peer: str) -> None:
        self._outbox.deliver_due_to(peer)
        self._audit.sent(self._dispatches.over(peer))

    def _audit_receptions(self) -> None:
        self._audit.received(self._receptions.over())

    def _clock_was_set(self) -> None:
        self._schedule.run_now()

    def _settle(self) -> None:
        now, patience_of = self._clock(), partial(patience_for, self._settings)
        listening_since = now - (time.monotonic() - self._made_at)
        found = settle_complete_studies(
            self.store, self._inquiries, patience_of, self._open_senders, now, listening_since
        )
        self._arriving = found.waiting
        if found.next_quiet_s < float("inf"):
            self._schedule.hasten(_SETTLE, found.next_quiet_s)
        if found.settled:
            self._workers.tick()

    def _stored(self, instance: Instance) -> None:
        # of a study that was seen arriving it is known when to look again
        if instance.kind is InstanceKind.IMAGE and instance.study_instance_uid not in self._arriving:
            self._settle_soon()

    def _settle_soon(self) -> None:
        self._schedule.hasten(_SETTLE)

    def _deliver_soon(self) -> None:
        for peer in self._settings.outgoing_peers:
            self._schedule.hasten(_deliver_to(peer))

    def _open_senders(self, study_instance_uid: str) -> int:
        """Associations and uploads that have stored something of a study and are not over."""
        uploads = 0 if self._web is None else self._web.uploads.serving(study_instance_uid)
        return self._scp.open_associations(study_instance_uid) + uploads

    def _find(self, peer: Destination, query: Dataset) -> tuple[Dataset, ...]:
        return find(peer, self._settings.node.ae_title, query, self._audit.queried)

    def _count_held(self, peer: Destination, study_instance_uid: str) -> int:
        """What a peer holds of a study; without own objects, which there are only where this node has made some."""
        own = is_own_uid if self.store.has_own_objects(study_instance_uid) else None
        return instances_held(study_instance_uid, partial(self._find, peer), own)


def _deliver_to(peer: str) -> str:
    """The name of the task."""
    return f"deliver to {peer}"


def classify(sop_class_uid: str, sop_instance_uid: str, maker: Maker) -> InstanceKind:
    """What a received object is to the node."""
    return classify_object(sop_class_uid, is_own=is_own(sop_instance_uid, maker))


def commitment_peers(settings: Settings) -> CommitmentPeers:
    """Who is asked to commit to what they got, and who may ask the node to."""
    return CommitmentPeers(
        {
            name: ProvingPeer(settings.destination(name), settings.dimse_peers[name].commitment)
            for name in settings.proving
        },
        {name: settings.destination(name) for name in settings.receive.senders},
        partial(calling_sender, settings),
    )


def retention_tasks(
    settings: Settings,
    store: Store,
    folders: StudyFolders,
    clock: Callable[[], float],
    is_trusted: Callable[[], bool] = lambda: True,
) -> tuple[Task, ...]:
    """The removal of old studies; none where everything is kept."""
    days, gigabytes = settings.retain.days, settings.retain.maximum_gb
    if days is None and gigabytes is None:
        return ()
    limits = Limits(days, None if gigabytes is None else int(gigabytes * 1e9), settings.proving)
    return (Task("retain", _RETAIN_EVERY_S, Retention(store, folders, limits, clock, is_trusted).keep_within_limits),)


def check_cascade(settings: Settings) -> None:
    """Raises SettingsError when the cascade file cannot be followed."""
    try:
        load_cascade(settings.models.cascade)
    except CascadeError as error:
        remedy = "correct it, or set models.cascade to another file"
        raise SettingsError((Fault(str(settings.models.cascade), None, "stages", str(error), remedy),)) from error
