"""Sends files on to one peer from a thread of its own, in the order they were given; an outage only delays them."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, ObjectRejected
from dicom_node.storage_scu import LARGEST_PROPOSAL, ContextWish, StorageSender, context_wish, open_storage

_LOGGER = logging.getLogger(__name__)

_RETRY_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    path: Path
    wish: ContextWish


class Forwarder:
    """Forwards between `start` and `stop`; what is waiting at `stop` is dropped."""

    def __init__(self, destination: Destination, own_ae_title: str, retry_after_s: float = _RETRY_AFTER_S) -> None:
        self._destination = destination
        self._own_ae_title = own_ae_title
        self._retry_after_s = retry_after_s
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"forward to {destination.name}", daemon=True)

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def put(self, path: Path) -> None:
        """Forward the file at `path` after those put before. Raises ObjectRejected when it is no DICOM file."""
        self._queue.put(_Waiting(path, context_wish(path)))

    def stop(self) -> None:
        """Finish the object being sent, then end."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            waiting = self._next_batch()
            while waiting and not self._stopping.is_set():
                self._send(waiting)
                if waiting:
                    self._stopping.wait(self._retry_after_s)

    def _next_batch(self) -> deque[_Waiting]:
        """What is waiting, at least one; none when stopping."""
        batch: deque[_Waiting] = deque()
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == LARGEST_PROPOSAL or self._queue.empty():
                break
            item = self._queue.get()
        return batch

    def _send(self, waiting: deque[_Waiting]) -> None:
        """Send from the left and take off what is done with, until empty or until it must be tried again later."""
        try:
            wishes = {item.wish for item in waiting}
            with open_storage(self._destination, self._own_ae_title, wishes) as sender:
                while waiting and not self._stopping.is_set():
                    self._send_first(waiting, sender)
        except DeliveryError as error:
            self._log(f"{len(waiting)} objects wait", error)

    def _send_first(self, waiting: deque[_Waiting], sender: StorageSender) -> None:
        try:
            sender.send(waiting[0].path)
        except ObjectRejected as error:
            self._log(f"{waiting[0].path.name} is not forwarded", error)
        waiting.popleft()

    def _log(self, what: str, error: DeliveryError) -> None:
        _LOGGER.warning("%s for %s: %s", what, self._destination, error, extra={"action": "forward_trouble"})
