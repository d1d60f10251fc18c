"""Requests of many studies through one network: one forward pass at a time, and several requests in it if allowed.

Whoever comes first asks for those that came after it, and may wait a moment for them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from inference.cascade import Shelf
from inference.gpu import GpuNetwork
from inference.models import Model, Network, asked_through
from inference.remembering import Standin


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    pictures: Tensor
    answer: Future[Any] = field(default_factory=Future)


class Batcher(Standin):
    """Called by many threads as the network it is made of, which need not be safe for them.

    `at_once` requests share a forward pass. With 1 every answer is what the network gives to that request alone; with
    more the last bits may depend on who else asked, since libraries compute batches of different sizes differently.
    A pass that has room is held back for `company_s` seconds, and takes no further request beyond `pictures` of them.
    """

    def __init__(self, network: Network, at_once: int, company_s: float = 0.0, pictures: int | None = None) -> None:
        self.network = network
        self._at_once = at_once
        self._company_s = company_s
        self._pictures = pictures
        self._waiting: deque[_Request] = deque()
        self._came = threading.Condition()
        self._running = threading.Lock()
        self._count_lock = threading.Lock()
        self._unanswered = 0

    @property
    def unanswered(self) -> int:
        """Requests that wait or are being answered."""
        return self._unanswered

    def __call__(self, pictures: Tensor) -> Any:  # noqa: ANN401  # as Network has it
        """(n, channels, size, size) to the network's answer. Raises what it raises; CancelledError where a request of
        somebody else broke the pass that both were in by what is no RuntimeError."""
        mine = _Request(pictures)
        self._count(1)
        with self._came:
            self._waiting.append(mine)
            self._came.notify_all()
        try:
            with self._running:  # whoever gets here first works for those behind
                while not mine.answer.done():
                    self._answer_some()
            return mine.answer.result()
        finally:
            self._count(-1)

    def _answer_some(self) -> None:
        """A pass that breaks is tried again for each request alone: the others shall not suffer from one."""
        taken = self._taken()
        try:
            if len(taken) > 1:
                with contextlib.suppress(RuntimeError):
                    self._answer(taken)
                    return
            for each in taken:
                try:
                    self._answer([each])
                except RuntimeError as error:
                    each.answer.set_exception(error)
        finally:
            for each in taken:
                each.answer.cancel()  # nothing, once it has a result

    def _answer(self, requests: Sequence[_Request]) -> None:
        """All in one pass."""
        joined = torch.cat([each.pictures for each in requests]) if len(requests) > 1 else requests[0].pictures
        answer = self.network(joined)
        for each, part in zip(requests, _split(answer, [len(each.pictures) for each in requests]), strict=True):
            each.answer.set_result(part)

    def _taken(self) -> list[_Request]:
        """Those of the next pass, at least one."""
        with self._came:
            if self._company_s:
                self._came.wait_for(lambda: len(self._waiting) >= self._at_once, self._company_s)
            taken = [self._waiting.popleft()]
            count = len(taken[0].pictures)
            while self._waiting and len(taken) < self._at_once:
                count += len(self._waiting[0].pictures)
                if self._pictures is not None and count > self._pictures:
                    break
                taken.append(self._waiting.popleft())
            return taken

    def _count(self, change: int) -> None:
        with self._count_lock:
            self._unanswered += change


def _split(answer: Any, sizes: Sequence[int]) -> Sequence[Any]:  # noqa: ANN401  # as Network has it
    """The answer to all as the answers to each."""
    if len(sizes) == 1:
        return [answer]
    if isinstance(answer, Mapping):
        parts = {question: tensor.split(sizes) for question, tensor in answer.items()}
        return [{question: parts[question][n] for question in parts} for n in range(len(sizes))]
    if isinstance(answer, Tensor):
        return list(answer.split(list(sizes)))
    return list(zip(*(tensor.split(sizes) for tensor in answer), strict=True))


def batched(shelf: Shelf, at_once: int, company_s: float) -> Shelf:
    """The same models, for so many studies at once; a GPU's are asked for several of them in one pass.

    Those on the processor gain nothing by it, and answer each request alone as they always do.
    """
    if at_once == 1:
        return shelf

    def for_many(model: Model) -> Network:
        network = model.network
        if not isinstance(network, GpuNetwork):
            return network
        return Batcher(network, at_once, company_s, network.at_once)

    return asked_through(shelf, for_many)
