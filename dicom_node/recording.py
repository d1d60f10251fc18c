"""What was accepted, recorded in its order by one thread: a flush of the disk costs as much for one row as for ten.

Its sender need not wait for that. What cannot be recorded waits, on disk, and is tried again; when many have to,
nothing more is taken in, and senders are told so.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
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
#: As many in vain, and no other recorded, are not the fault of one of them; nothing more is taken in.
_ENOUGH = 16


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
        #: Tried in vain, and when they are tried again, by the monotonic clock.
        self._again: list[_Wish] = []
        self._again_at = 0.0
        self._put = self._tried = 0
        self._is_wanted_now = False
        self._is_stopping = False
        #: Why nothing could be recorded when that was tried last; empty when something could, or few had to be.
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
        return not self._waiting and not self._again

    def check(self) -> None:
        """Raises OutOfResources while nothing more should be accepted."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING or bool(self._trouble), _PATIENCE_S)
            trouble = self._trouble or ("too many objects wait" if len(self._waiting) >= _MOST_WAITING else "")
        if trouble:
            raise OutOfResources(f"what came before cannot be recorded: {trouble}")

    def put(self, accepted: Accepted, then: Callable[[Recorded], None]) -> None:
        """Have it recorded, and `then` called in the thread that does."""
        with self._changed:
            self._waiting.append(_Wish(accepted, then))
            self._put += 1
            if len(self._waiting) in (1, _MOST_TOGETHER):
                self._changed.notify_all()

    def flush(self, timeout_s: float = _PATIENCE_S) -> bool:
        """Wait until all that was put is recorded; False when some cannot be now, or not in that time."""
        with self._changed:
            until = self._put
            if self._tried < until:
                self._is_wanted_now = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._tried >= until, timeout_s)
            return self._tried >= until and not self._again

    def _run(self) -> None:
        while True:
            self._receiver.make_ready()
            with self._changed:
                self._changed.wait_for(self._has_work, _TRY_AGAIN_S if self._again else None)
                if self._waiting:
                    self._changed.wait_for(self._is_time, _GATHER_S)
                elif self._is_stopping:
                    return
                self._is_wanted_now = False
                new = list(itertools.islice(self._waiting, _MOST_TOGETHER))
            is_due = time.monotonic() >= self._again_at
            self._record(self._again if is_due else [], new)

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_stopping

    def _is_time(self) -> bool:
        return self._is_wanted_now or self._is_stopping or len(self._waiting) >= _MOST_TOGETHER

    def _record(self, again: Sequence[_Wish], new: Sequence[_Wish]) -> None:
        together = [*again, *new]
        if not together:
            return
        trouble = self._try(together)
        left: list[_Wish] = []
        if trouble:
            left = together if len(together) == 1 else [wish for wish in together if self._try([wish])]
        if left and not self._again:
            told = "%d objects are safe in incoming/ and cannot be recorded; they are tried again: %s"
            _LOGGER.error(told, len(left), trouble, extra={"action": "recording_waits"})
        with self._changed:
            for _ in new:
                self._waiting.popleft()
            self._tried += len(new)
            self._again = left if again else [*self._again, *left]
            self._again_at = time.monotonic() + _TRY_AGAIN_S if left else self._again_at
            self._trouble = trouble if len(left) == len(together) and len(self._again) >= _ENOUGH else ""
            self._changed.notify_all()

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
            _tell(wish, each)
        return ""


def _tell(wish: _Wish, recorded: Recorded) -> None:
    try:
        wish.then(recorded)
    except Exception as error:  # noqa: BLE001  # nobody's fault may end the thread that records everybody's objects
        told = "Who waits for a recorded object broke off: %s (%s)"
        _LOGGER.error(told, type_and_place(error), call_path(error), extra={"action": "task_broke"})  # noqa: TRY400
