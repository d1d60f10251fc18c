"""The project's own networks on a GPU: torch in bfloat16 or float16, pictures laid out channels last, passes captured.

A stack of any length is cut into batches of a few sizes, the last one padded, so that each size is captured once as a
CUDA graph and replayed from then on, without a call per layer. All pictures are on their way from pinned memory, on a
stream of their own, while the first are computed.

All but streams and graphs runs on a processor as well, which is how tests hold it to torch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inference.cards import Card
from inference.compiled import Answer, Answers, Precision, as_answer

_LOGGER = logging.getLogger(__name__)

#: Pictures of one forward pass; other numbers are padded to the next.
SIZES = (1, 2, 4, 8, 16, 32)
#: Passes before a capture, in which libraries choose their algorithms and take their memory.
_WARM_UP = 3
#: Their weights are stored in the number format; normalisation keeps its own in float32.
_PRODUCTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures from `start` to `stop` of a stack, computed as if there were `size`."""

    start: int
    stop: int
    size: int


def batches(count: int, sizes: Sequence[int] = SIZES) -> tuple[Batch, ...]:
    """A stack in as many of the largest size as it fills, and the rest in the smallest size that holds it; `sizes`
    rise."""
    largest = sizes[-1]
    starts = range(0, count, largest)
    stops = [min(start + largest, count) for start in starts]
    return tuple(
        Batch(start, stop, next(size for size in sizes if size >= stop - start))
        for start, stop in zip(starts, stops, strict=True)
    )


def number_format(precision: Precision, *, has_bfloat16: bool) -> torch.dtype:
    """In which numbers a GPU multiplies: bfloat16 has float32's range; one without it has float16."""
    if precision is Precision.FLOAT32:
        return torch.float32
    return torch.bfloat16 if has_bfloat16 else torch.float16


class GpuNetwork:
    """Called as the torch network is, by any thread; it cannot be differentiated."""

    #: Pictures it takes at once: the more, the better transfers hide behind computing.
    at_once = 256

    def __init__(self, network: nn.Module, card: Card, device: torch.device, form: torch.dtype) -> None:
        """Takes the network over. Raises RuntimeError where the device has no room for it."""
        self._network = Answers(in_form(network, form)).eval().to(device).to(memory_format=torch.channels_last)
        self._card = card
        self._device = device
        self._form = form
        self._passes: dict[tuple[int, ...], _Pass] = {}
        self._one_at_a_time = threading.Lock()
        self._copying = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, pictures: Tensor) -> Answer:
        """(n, channels, size, size) on the processor to float32 there, as the card's task has it."""
        with self._one_at_a_time, torch.inference_mode():
            parts = [self._pass(batch.size, uploaded)(uploaded) for batch, uploaded in self._uploaded(pictures)]
            if self._copying is not None:
                torch.cuda.current_stream(self._device).synchronize()  # answers are on their way until here
        return as_answer(self._card, [torch.cat(tensors) for tensors in zip(*parts, strict=True)])

    def _uploaded(self, pictures: Tensor) -> Iterator[tuple[Batch, Tensor]]:
        """Every batch where it is computed, unpadded; none waits for another's arrival."""
        cut = batches(len(pictures))
        if self._copying is None:
            yield from ((batch, pictures[batch.start : batch.stop]) for batch in cut)
            return
        computing, pinned, arrived = torch.cuda.current_stream(self._device), pictures.pin_memory(), []
        with torch.cuda.stream(self._copying):
            for batch in cut:
                there = pinned[batch.start : batch.stop].to(self._device, non_blocking=True)
                there.record_stream(computing)
                arrived.append((batch, there, self._copying.record_event()))
        for batch, there, event in arrived:
            computing.wait_event(event)
            yield batch, there

    def _pass(self, size: int, pictures: Tensor) -> _Pass:
        shape = (size, *pictures.shape[1:])
        if shape not in self._passes:
            given = torch.zeros(shape, device=self._device).contiguous(memory_format=torch.channels_last)
            self._passes[shape] = _Pass(given, self._forward)
        return self._passes[shape]

    def _forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        is_low = self._form is not torch.float32
        with torch.autocast(self._device.type, self._form if is_low else None, enabled=is_low, cache_enabled=False):
            answer = self._network(pictures)
        return answer if isinstance(answer, tuple) else (answer,)


class _Pass:
    """The forward pass of one size: on a GPU captured when it is made, and replayed."""

    def __init__(self, given: Tensor, forward: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self._given = given
        self._run = captured(given, forward) if given.is_cuda else lambda: forward(given)

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """At most as many as its size, where it computes; answers are on their way to the processor."""
        self._given[: len(pictures)].copy_(pictures)
        return [answer[: len(pictures)].float().to("cpu", non_blocking=True) for answer in self._run()]


def captured(given: Tensor, forward: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """What runs the pass over `given`; layer by layer where a network cannot be captured."""
    graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream(given.device)
    aside.wait_stream(torch.cuda.current_stream(given.device))
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            forward(given)
    torch.cuda.current_stream(given.device).wait_stream(aside)
    try:
        # other threads, which ask other networks, may do meanwhile what this one may not
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            answers = forward(given)
    except RuntimeError as error:
        _LOGGER.warning("A network is not captured: %s", type(error).__name__, extra={"action": "not_captured"})
        return lambda: forward(given)

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return answers

    return replay


def in_form(network: nn.Module, form: torch.dtype) -> nn.Module:
    """The same network, its matrices in the number format."""
    for module in network.modules():
        if isinstance(module, _PRODUCTS):
            module.to(form)
    return network


def gpu_network(network: nn.Module, card: Card, precision: Precision) -> GpuNetwork:
    """On the first GPU. Raises RuntimeError without one, or without room on it."""
    if not torch.cuda.is_available():
        raise RuntimeError("there is no GPU that torch can use")
    form = number_format(precision, has_bfloat16=torch.cuda.is_bf16_supported(including_emulation=False))
    torch.backends.cudnn.benchmark = True  # sizes are few, and come again
    torch.backends.cudnn.allow_tf32 = form is not torch.float32  # f32 means 23 bits
    return GpuNetwork(network, card, torch.device("cuda"), form)
