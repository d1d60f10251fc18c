"""The worker's end of the pipe to the process that speaks Ray: starts it, asks over it, ends it. Imports no Ray."""

from __future__ import annotations

import importlib.util
import itertools
import multiprocessing
import signal
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.cluster import ClusterError, Offer
from dicom_node.faults import tell_without_messages

#: From the start of the process to its offer, a cluster that does not answer included.
CONNECTS_WITHIN_S = 60.0
#: The other process keeps the time of a request itself; one that does not is hung.
_HUNG_AFTER_S = 5.0
_GRACE_S = 2.0


class RayProcess:
    """One connection to a cluster, from its start to its first failure. Safe for many threads."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """Start it; nobody waits for it here."""
        self._timeout_s = timeout_s
        self._offer: Future[Offer] = Future()
        self._answers: dict[int, Future[object]] = {}
        self._gone: ClusterError | None = None
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._started_at = time.monotonic()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, address, timeout_s), name="dicom-node-ray", daemon=True
        )
        self._process.start()
        theirs.close()
        threading.Thread(target=self._read, name="ray answers", daemon=True).start()

    @property
    def is_connecting(self) -> bool:
        """Whether its offer may still come."""
        return not self._offer.done() and time.monotonic() - self._started_at < CONNECTS_WITHIN_S

    def offer(self, wait_s: float = 0.0) -> Offer:
        """What the cluster serves. Raises ClusterError where there is none, or it did not come in time."""
        try:
            return self._offer.result(wait_s)
        except TimeoutError as error:
            raise ClusterError("the Ray cluster did not answer in time") from error

    def ask(self, digest: str, pictures: NDArray[np.float32]) -> object:
        """What the network gives. Raises ClusterError when there is no answer; in time, or ever."""
        number, answer = next(self._numbers), Future[object]()
        self._answers[number] = answer
        try:
            if self._gone is not None:  # looked at after the line above: whoever sets it then sees this request
                raise self._gone
            with self._sending:
                self._connection.send((number, digest, pictures))
            return answer.result(self._timeout_s + _HUNG_AFTER_S)
        except TimeoutError as error:
            raise ClusterError("the process that speaks Ray hangs") from error
        except OSError as error:
            raise ClusterError("the process that speaks Ray has ended: its cluster is gone") from error
        finally:
            del self._answers[number]

    def stop(self) -> None:
        """End it; whoever waits for an answer gets none."""
        self._process.kill()
        self._process.join(_GRACE_S)
        with self._sending:
            self._connection.close()

    def _read(self) -> None:
        """The thread that takes what comes, until the other end closes."""
        reason = "the process that speaks Ray has ended: its cluster is gone"
        with suppress(EOFError, OSError):
            first = self._connection.recv()
            if isinstance(first, Offer):
                self._offer.set_result(first)
                while True:
                    number, answer = self._connection.recv()
                    self._answered(number, answer)
            reason = first
        self._gone = gone = ClusterError(reason)
        if not self._offer.done():
            self._offer.set_exception(gone)
        for waiting in tuple(self._answers.values()):
            if not waiting.done():
                waiting.set_exception(gone)

    def _answered(self, number: int, answer: object) -> None:
        waiting = self._answers.get(number)
        if waiting is None:  # it came after all, when nobody waited any more
            return
        if isinstance(answer, ClusterError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


def _main(connection: Connection, address: str, timeout_s: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides when it ends
    tell_without_messages()
    if importlib.util.find_spec("ray") is None:
        connection.send(
            "Ray is not installed here: `pip install 'dicom-ai-node[ray]'`, or set runtime.executor to local"
        )
        return
    from dicom_node.ray_executor import main  # noqa: PLC0415  # Ray belongs to this process alone

    main(connection, address, timeout_s)
