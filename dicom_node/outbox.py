"""Delivers result objects: what the store says is due, in order, one association or HTTP connection per peer.

What could not be delivered goes back to the store with a later due time, or as dead with its reason; trouble with
one peer touches no other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from dicom_node.domain.breaker import in_probing_order
from dicom_node.domain.delivery import LONGEST_DELAY_S, Delivery, Destination, RetryPolicy, retry_delay_s
from dicom_node.domain.errors import DeliveryError, NothingAccepted, ObjectRejected, PeerUnreachable, SopClassRefused
from dicom_node.domain.web import WebDestination
from dicom_node.reach import BreakerStore, Reach
from dicom_node.senders import ObjectSender, open_sender
from dicom_node.storage_scu import ContextWish, context_wish
from dicom_node.substituting import RefusalStore, Substituting
from sr_writer.created import name_of_kind
from sr_writer.profiles import Profile

_LOGGER = logging.getLogger(__name__)


class DeliveryStore(BreakerStore, RefusalStore, Protocol):
    """Where deliveries wait and their fates are recorded, durably."""

    def due(self, *, now: float) -> tuple[Delivery, ...]:
        """What is to be sent now, in sending order."""

    def sent(self, delivery_id: int, *, status: int, now: float) -> None:
        """The peer has it."""

    def postpone(self, delivery_id: int, *, reason: str, due_at: float, now: float) -> None:
        """To be tried again at `due_at`."""

    def dead(self, delivery_id: int, *, reason: str, now: float) -> None:
        """Given up; waits for a person."""


def _to_nobody(_delivery: Delivery, _failure: str) -> None:
    """Where nobody wants to know."""


class Outbox:
    """Sends what is due. Safe to call from several threads: a peer that is being served is not served twice.

    `on_decided` hears of each delivery that arrived, or is given up, and then why; it must not raise.
    """

    def __init__(
        self,
        store: DeliveryStore,
        destinations: Mapping[str, Destination | WebDestination],
        own_ae_title: str,
        clock: Callable[[], float],
        policy: RetryPolicy,
        profiles: Mapping[str, Profile] | None = None,
        on_decided: Callable[[Delivery, str], None] = _to_nobody,
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._own_ae_title = own_ae_title
        self._clock = clock
        self._policy = policy
        self._on_decided = on_decided
        self._busy = {peer: threading.Lock() for peer in destinations}
        self._reach = {peer: Reach(store, peer, clock, policy.jitter) for peer in destinations}
        self._substituting = Substituting(store, profiles or {}, clock)
        self._stopping = threading.Event()
        self._started_at = clock()

    def stop(self) -> None:
        """Begin no other object; what is not sent stays due."""
        self._stopping.set()

    def deliver_due(self) -> int:
        """Serve every peer that something is due for, each in a thread of its own; how many objects arrived.

        Returns when the slowest peer is done; a scheduler that must not wait for it calls `deliver_due_to` per peer.
        """
        due = self._store.due(now=self._clock())
        self._bury(due)
        peers = sorted({delivery.peer for delivery in due} & self._destinations.keys())
        if not peers:
            return 0
        with ThreadPoolExecutor(max_workers=len(peers), thread_name_prefix="outbox") as pool:
            return sum(pool.map(self.deliver_due_to, peers))

    def bury_strays(self) -> None:
        """Give up what is due for peers that the configuration does not name any more."""
        self._bury(self._store.due(now=self._clock()))

    def deliver_due_to(self, peer: str) -> int:
        """Serve one peer of the configuration; how many objects arrived. 0 when it is being served already."""
        if not self._busy[peer].acquire(blocking=False):
            return 0
        try:
            if not self._reach[peer].may_try():
                return 0
            due = tuple(delivery for delivery in self._store.due(now=self._clock()) if delivery.peer == peer)
            return self._deliver(in_probing_order(due) if self._reach[peer].is_open else due, self._destinations[peer])
        finally:
            self._busy[peer].release()

    def _deliver(self, due: Sequence[Delivery], destination: Destination | WebDestination) -> int:
        due = self._substituting.sendable(due)
        wishes = self._wishes(due)
        sendable = [delivery for delivery in due if delivery.delivery_id in wishes]
        if not sendable:
            return 0
        arrived = 0
        try:
            with open_sender(destination, self._own_ae_title, set(wishes.values())) as sender:
                refused = {uid: f"{destination} accepts no {name_of_kind(uid)}" for uid in sender.refused_classes}
                arrived = self._send_in_order(self._substituting.sendable(sendable, refused), sender)
        except NothingAccepted as error:
            self._reach[destination.name].answered()
            refused = {delivery.sop_class_uid: str(error) for delivery in sendable}
            for delivery in self._substituting.sendable(sendable, refused):
                self._fail([delivery], error)
        except DeliveryError as error:  # there was no way to the peer: nothing has been sent
            self._unreached(sendable, error)
        return arrived

    def _unreached(self, due: Sequence[Delivery], error: DeliveryError) -> None:
        """Put all off; where the breaker is open they wait as they are, for the peer and not each for itself."""
        is_open = self._reach[due[0].peer].failed(str(error))
        tried = [each for each in due if self._is_in_vain(each)] if is_open and error.retryable else due
        if tried:
            self._fail(tried, error)

    def _wishes(self, due: Iterable[Delivery]) -> dict[int, ContextWish]:
        """What each file needs, by delivery; a file that is gone is dead at once."""
        wishes: dict[int, ContextWish] = {}
        for delivery in due:
            try:
                wishes[delivery.delivery_id] = context_wish(delivery.path)
            except ObjectRejected as error:
                self._fail([delivery], error)
        return wishes

    def _send_in_order(self, due: Sequence[Delivery], sender: ObjectSender) -> int:
        """Send until the association is lost.

        An object that must wait holds back what follows it in its job, since a report must not arrive before the
        segmentation it refers to; other jobs go on. After a loss only the job that suffered it is postponed: an
        object that makes its peer hang up must not stand in front of all others for ever.
        """
        arrived = 0
        waiting_jobs: set[int] = set()
        reach = self._reach[sender.peer]
        for index, delivery in enumerate(due):
            if self._stopping.is_set():
                break
            if delivery.job_id in waiting_jobs:
                continue
            try:
                status = sender.send(delivery.path)
            except ObjectRejected as error:
                reach.answered()
                if isinstance(error, SopClassRefused):
                    waiting_jobs |= self._made_anew(due[index:], error)
                if delivery.job_id not in waiting_jobs:
                    self._fail([delivery], error)
            except DeliveryError as error:
                waiting_jobs.add(delivery.job_id)
                # what is refused in vain is given up alone: it stands in the way of those behind it no more
                is_last_try = self._is_in_vain(delivery) and not isinstance(error, PeerUnreachable)
                behind = [] if is_last_try else [each for each in due[index + 1 :] if each.job_id == delivery.job_id]
                self._fail([delivery, *behind], error)
                if isinstance(error, PeerUnreachable):
                    reach.failed(str(error))
                    break
                reach.answered()
            else:
                reach.answered()
                self._store.sent(delivery.delivery_id, status=status, now=self._clock())
                self._on_decided(delivery, "")
                arrived += 1
        return arrived

    def _made_anew(self, due: Sequence[Delivery], error: SopClassRefused) -> set[int]:
        """The jobs of which nothing is sent now, since the worker makes them anew."""
        left = self._substituting.sendable(due, {error.sop_class_uid: str(error)})
        return {delivery.job_id for delivery in due} - {delivery.job_id for delivery in left}

    def _fail(self, deliveries: Sequence[Delivery], error: DeliveryError) -> None:
        """Put all off to one time, so that they come again in their order; or give up those that are tried in vain."""
        now = self._clock()
        delay_s = max(error.wait_s, retry_delay_s(deliveries[0].attempt, self._policy.jitter))
        dead = 0
        for delivery in deliveries:
            if error.retryable and not self._is_in_vain(delivery):
                self._store.postpone(delivery.delivery_id, reason=str(error), due_at=now + delay_s, now=now)
            else:
                told = self._policy.told(delivery.failing_since, str(error), now) if error.retryable else str(error)
                self._store.dead(delivery.delivery_id, reason=told, now=now)
                self._on_decided(delivery, told)
                dead += 1
        for number, fate, action in (
            (len(deliveries) - dead, f"wait {delay_s:.0f} s", "delivery_postponed"),
            (dead, "are given up", "delivery_dead"),
        ):
            if number:
                _LOGGER.warning(
                    "%d objects for %s %s: %s", number, deliveries[0].peer, fate, error, extra={"action": action}
                )

    def _is_in_vain(self, delivery: Delivery) -> bool:
        """While the node was away nothing was tried; a peer that comes back with it has some tries left."""
        now = self._clock()
        has_tried = now - self._started_at >= min(LONGEST_DELAY_S, self._policy.give_up_after_s)
        return has_tried and self._policy.is_over(delivery.failing_since, now)

    def _bury(self, due: Iterable[Delivery]) -> None:
        for delivery in due:
            if delivery.peer not in self._destinations:
                reason = f"no destination is named {delivery.peer}; add the peer to deliver.to, then resend the study"
                self._fail([delivery], ObjectRejected(reason))
