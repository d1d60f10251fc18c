"""Answers of networks that were asked ahead: kept until the same is asked in earnest, within a bound of memory.

An answer is known by the package and by every byte of what it was asked, a whole batch as it was. So what is remembered
is what the network would answer again, whoever asks, and with or without it findings are the same.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: (n, channels, size, size) to what the task's network gives.
Network = Callable[[Tensor], Any]


class Interrupted(Exception):  # no error: something else is more urgent
    """Asking ahead is to stop now."""


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    content: Any
    #: The study it was asked for.
    owner: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Who is asked for ahead, and whether that may go on."""

    owner: str
    may_go_on: Callable[[], bool]


class Memory:
    """For one thread. The answers that were used longest ago go first when `maximum_bytes` are reached."""

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._ahead: _Ahead | None = None
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @contextmanager
    def ahead(self, owner: str, may_go_on: Callable[[], bool]) -> Iterator[None]:
        """What is answered inside is remembered for `owner`, a study; elsewhere it is only used, and then given up.

        Raises Interrupted before a network is asked that is not to be asked any more.
        """
        self._ahead = _Ahead(owner, may_go_on)
        try:
            yield
        finally:
            self._ahead = None

    def forget_all_but(self, owners: Collection[str]) -> None:
        """Give up what was remembered for other studies."""
        for key in [key for key, answer in self._answers.items() if answer.owner not in owners]:
            self._take(key)

    def answer(self, package: str, network: Network, pictures: Tensor) -> Any:  # noqa: ANN401  # as the network's own
        """What the network of `package`, a digest of it, says of a batch."""
        if self._ahead is None and not self._answers:
            return network(pictures)
        key = _key(package, pictures)
        if self._ahead is None:
            known = self._take(key)
            return network(pictures) if known is None else known.content
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key].content
        if not self._ahead.may_go_on():
            raise Interrupted
        content = network(pictures)
        self._keep(key, _Answer(content, self._ahead.owner, _size_bytes(content)))
        return content

    def _keep(self, key: bytes, answer: _Answer) -> None:
        if answer.size_bytes > self._maximum_bytes:
            return
        self._answers[key] = answer
        self.size_bytes += answer.size_bytes
        while self.size_bytes > self._maximum_bytes:
            self._take(next(iter(self._answers)))

    def _take(self, key: bytes) -> _Answer | None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.size_bytes -= answer.size_bytes
        return answer


class Standin:
    """Stands before a network, and is asked in its place."""

    network: Network


class RememberingNetwork(Standin):
    """A network that is asked through a memory."""

    def __init__(self, package: str, network: Network, memory: Memory) -> None:
        self._package = package
        self.network = network
        self._memory = memory

    def __call__(self, pictures: Tensor) -> Any:  # noqa: ANN401  # as the network's own
        """As the network itself."""
        return self._memory.answer(self._package, self.network, pictures)


def _key(package: str, pictures: Tensor) -> bytes:
    """Of the numbers, whatever their order in memory."""
    digest = hashlib.sha256(f"{package} {tuple(pictures.shape)} {pictures.dtype}".encode())
    digest.update(pictures.cpu().contiguous(memory_format=torch.contiguous_format).numpy().data)
    return digest.digest()


def _size_bytes(content: object) -> int:
    """Of every tensor in an answer."""
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, Mapping):
        return sum(map(_size_bytes, content.values()))
    return sum(map(_size_bytes, content)) if isinstance(content, tuple | list) else 0
