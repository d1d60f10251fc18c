"""Networks that are asked elsewhere, and here where nobody answers.

What leaves is a package's digest and pictures as its network takes them: windowed, scaled, without a header. What comes
back are the network's numbers. Everything before and after is done here, by the same code as without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.cascade import Shelf
from inference.models import Network
from inference.registry import BrokenPackage

#: A network's answer as arrays: by question, alone, or several.
Answer = dict[str, NDArray[np.float32]] | NDArray[np.float32] | tuple[NDArray[np.float32], ...]
#: Digest of a package, pictures (n, channels, size, size) -> its network's answer; None: nobody answers, ask here.
Ask = Callable[[str, NDArray[np.float32]], Answer | None]


class RemoteNetwork:
    """Called as the network it stands for."""

    def __init__(self, digest: str, local: Network, ask: Ask) -> None:
        self._digest = digest
        self._local = local
        self._ask = ask

    def __call__(self, pictures: Tensor) -> Any:  # noqa: ANN401  # as Network has it
        """(n, channels, size, size) to what the package's network gives."""
        answer = self._ask(self._digest, np.ascontiguousarray(pictures.numpy()))
        return self._local(pictures) if answer is None else to_tensors(answer)


def lent(shelf: Shelf, ask: Ask) -> Shelf:
    """The same models, whose networks are asked elsewhere first; what is broken stays so."""
    return {
        name: model
        if isinstance(model, BrokenPackage)
        else type(model)(model.package, RemoteNetwork(model.package.digest, model.network, ask))
        for name, model in shelf.items()
    }


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
