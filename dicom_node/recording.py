"""What was accepted, recorded in its order by one thread: a flush of the disk costs as much for one row as for ten.

Its sender need not wait for that. What cannot be recorded waits, on disk, and is tried again; meanwhile nothing more is
taken in, and senders are told so.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dicom_node.domain.errors import OutOfResources, ReceiveError
from dicom_node.faults import call_path, type_and_place
from dicom_node.receiving import Accepted, Receiver, Recorded

_LOGGER = logging.getLogger(__name__)

#: How long the first one waits for company; nobody waits for it.
_GATHER_S = 0.01
_MOST_TOGETHER = 64
#: As many may wait to be recorded before senders wait, and how long those do.
_MOST_WAITING, _PATIENCE_S = 512, 30.0
_TRY_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Wish:
    accepted: Accepted
    then: Callable[[Recorded], None]


class Recorder:
    """Works between `start` and `stop`. Safe for many threads."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._changed = threading.Condition()
        self._waiting: deque[_Wish] = deque()
        self._put = self._done = 0
        self._is_wanted_now = False
        self._is_stopping = False
        #: Why nothing could be recorded when that was tried last; empty when something could.
        self._trouble = ""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Record from now on."""
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Record what waits, within that time; whether all is. What is left is recorded at the next start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self.flush(timeout_s)
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        thread.join(timeout_s)
        self._receiver.close()
        return not self._waiting

    def check(self) -> None:
        """Raises OutOfResources while nothing more should be accepted."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING or self._trouble, _PATIENCE_S)
            trouble = self._trouble or ("too many objects wait" if len(self._waiting) >= _MOST_WAITING else "")
        if trouble:
            raise OutOfResources(f"what came before cannot be recorded: {trouble}")

    def put(self, accepted: Accepted, then: Callable[[Recorded], None]) -> None:
        """Have it recorded, and `then`, which must not raise, called in the thread that does."""
        with self._changed:
            self._waiting.append(_Wish(accepted, then))
            self._put += 1
            if len(self._waiting) in (1, _MOST_TOGETHER):
                self._changed.notify_all()

    def flush(self, timeout_s: float = _PATIENCE_S) -> bool:
        """Wait until all that was put is recorded; False when that is not to be had now, or not in that time."""
        with self._changed:
            until = self._put
            if self._done >= until:
                return True
            self._is_wanted_now = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= until or self._trouble, timeout_s)
            return self._done >= until

    def _run(self) -> None:
        while True:
            self._receiver.make_ready()
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_stopping)
                if not self._waiting:
                    return
                self._changed.wait_for(self._is_time, _GATHER_S)
                self._is_wanted_now = False
                together = [self._waiting[number] for number in range(min(len(self._waiting), _MOST_TOGETHER))]
            if not self._record(together):
                with self._changed:
                    if self._changed.wait_for(lambda: self._is_stopping, _TRY_AGAIN_S):
                        return

    def _is_time(self) -> bool:
        return self._is_wanted_now or self._is_stopping or len(self._waiting) >= _MOST_TOGETHER

    def _record(self, together: Sequence[_Wish]) -> bool:
        """Whether any could be recorded; those that could not are last in line now."""
        trouble = self._try(together)
        left: list[_Wish] = []
        if trouble and len(together) > 1:
            left = [wish for wish in together if self._try([wish])]
        elif trouble:
            left = list(together)
        if left and not self._trouble:
            told = "%d objects are safe in incoming/ and cannot be recorded; they are tried again: %s"
            _LOGGER.error(told, len(left), trouble, extra={"action": "recording_waits"})
        with self._changed:
            for _ in together:
                self._waiting.popleft()
            self._waiting += left
            self._done += len(together) - len(left)
            self._trouble = trouble if len(left) == len(together) else ""
            self._changed.notify_all()
        return len(left) < len(together)

    def _try(self, together: Sequence[_Wish]) -> str:
        """Why they could not be recorded; empty when they were."""
        accepted = [wish.accepted for wish in together]
        try:
            recorded = self._receiver.record(accepted)
        except ReceiveError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # the last resort: what was accepted is recorded in the end
            return f"a fault of this node: {type_and_place(error)} ({call_path(error)})"
        self._receiver.let_go(accepted)
        for wish, each in zip(together, recorded, strict=True):
            wish.then(each)
        return ""
