"""Networks that are asked elsewhere, and here where nobody answers.

Where several answer, several requests are under way at once, so that a large study is sooner done. Each is of as many
pictures as the node itself asks about in one forward pass: answers do not depend on who gives them, nor on how many.

What leaves is a package's digest and pictures as its network takes them: windowed, scaled, without a header. What comes
back are the network's numbers. Everything before and after is done here, by the same code as without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.cascade import Shelf
from inference.models import Model, asked_through

#: A network's answer as arrays: by question, alone, or several.
Answer = dict[str, NDArray[np.float32]] | NDArray[np.float32] | tuple[NDArray[np.float32], ...]
#: Digest of a package, pictures (n, channels, size, size) -> its network's answer; None: nobody answers, ask here.
Ask = Callable[[str, NDArray[np.float32]], Answer | None]
#: Digest of a package -> requests about it that are answered side by side; with 0 or 1 they go one after the other.
Width = Callable[[str], int]

#: Pictures of a request at most: as many as a processor takes in one forward pass.
_PICTURES = 8


class RemoteNetwork:
    """Called as the network it stands for."""

    def __init__(self, model: Model, ask: Ask, width: Width) -> None:
        self._digest = model.package.digest
        self._local = model.network
        self._pictures = min(_PICTURES, model.at_once)
        self._ask = ask
        self._width = width

    @property
    def at_once(self) -> int:
        """Pictures of as many requests as are answered side by side now: more at once would only take memory."""
        return self._pictures * max(1, self._width(self._digest))

    def __call__(self, pictures: Tensor) -> Any:  # noqa: ANN401  # as Network has it
        """(n, channels, size, size) to what the package's network gives."""
        parts = pictures.split(self._pictures)
        return _joined(
            [
                alone(self._local(part)) if answer is None else to_tensors(answer)
                for part, answer in zip(parts, self._asked(parts), strict=True)
            ]
        )

    def _asked(self, parts: Sequence[Tensor]) -> list[Answer | None]:
        """The answer to each part, in their order; one that was lost on its way leaves the others as they are."""
        ask = partial(self._ask, self._digest)
        arrays = [np.ascontiguousarray(part.numpy()) for part in parts]
        side_by_side = min(len(parts), self._width(self._digest))
        if side_by_side <= 1:
            return list(map(ask, arrays))
        with ThreadPoolExecutor(side_by_side, thread_name_prefix="asking") as threads:
            return list(threads.map(ask, arrays))


def _one_after_the_other(_digest: str) -> int:
    return 1


def lent(shelf: Shelf, ask: Ask, width: Width = _one_after_the_other) -> Shelf:
    """The same models, whose networks are asked elsewhere first; what is broken stays so."""
    return asked_through(shelf, lambda model: RemoteNetwork(model, ask, width))


def alone(answer: Any) -> Any:  # noqa: ANN401  # as Network has it
    """Of several things that a detector in torch gives, the one that answers; the others are for its training."""
    return answer if isinstance(answer, Tensor | Mapping) else tuple(answer[:1])


def _joined(answers: Sequence[Any]) -> Any:  # noqa: ANN401  # as Network has it
    """The answers to parts as the answer to all of them."""
    first = answers[0]
    if len(answers) == 1:
        return first
    if isinstance(first, Mapping):
        return {question: torch.cat([each[question] for each in answers]) for question in first}
    if isinstance(first, Tensor):
        return torch.cat(list(answers))
    return tuple(torch.cat(tensors) for tensors in zip(*answers, strict=True))


def to_arrays(answer: Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]) -> Answer:
    """What a network gives, as it travels."""
    if isinstance(answer, Mapping):
        return {question: _array(tensor) for question, tensor in answer.items()}
    return _array(answer) if isinstance(answer, Tensor) else tuple(_array(tensor) for tensor in answer)


def to_tensors(answer: Answer) -> dict[str, Tensor] | Tensor | tuple[Tensor, ...]:
    """And back."""
    if isinstance(answer, dict):
        return {question: _tensor(array) for question, array in answer.items()}
    return _tensor(answer) if isinstance(answer, np.ndarray) else tuple(_tensor(array) for array in answer)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().contiguous().numpy()
    return array


def _tensor(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))  # a copy: what came may be read only
