"""Model packages made ready: weights in a network, a volume in, scores out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_convert

from inference.architectures import build
from inference.cards import Card, OperatingPoint
from inference.compiled import Compiling, NotConvertibleError, compiled, discard_others, quantised
from inference.findings import Classification, Region, Task
from inference.foreign import ForeignNetwork
from inference.gpu import GpuNetwork, gpu_network
from inference.interpret import classification, slices_to_show
from inference.registry import BrokenPackage, Package
from inference.remembering import Memory, RememberingNetwork, Standin
from inference.transforms import Placement, placement_of, prepared
from inference.volume import Volume, first_slices
from inference.weights_file import load_weights

_LOGGER = logging.getLogger(__name__)

#: (n, channels, size, size) to what the task's network gives; a torch module, or another engine's.
Network = Callable[[Tensor], Any]
#: Slices per forward pass, unless the network says otherwise: bounds the memory a long stack takes.
_AT_ONCE = 8
#: A side of a shape that may be as long as it likes.
_ANY = -1


class _Ready:
    """A package and its network, made ready."""

    def __init__(self, package: Package, network: Network) -> None:
        self.package = package
        self.network = network

    @property
    def at_once(self) -> int:
        """Slices per forward pass."""
        number: int = getattr(self._own_network, "at_once", _AT_ONCE)
        return number

    @property
    def _own_network(self) -> Network:
        """Not what it may be asked through."""
        network = self.network
        while isinstance(network, Standin):
            network = network.network
        return network

    def _batches(self, volume: Volume) -> Iterator[Tensor]:
        """A volume's slices as the network takes them, as many at once as it takes."""
        for part in prepared(volume.pixels, volume.window, self.package.card.preparation, self.at_once):
            yield part.contiguous(memory_format=torch.channels_last)

    @cached_property
    def differentiable(self) -> nn.Module | None:
        """The network in torch; None where there is none, since it came as a file of its own."""
        if isinstance(self._own_network, nn.Module):
            return self._own_network
        return own_network(self.package) if self.package.card.architecture else None


class Classifier(_Ready):
    """A package that answers one or several questions with one forward pass."""

    def answers(self, volume: Volume) -> dict[str, Classification]:
        """The best class per question, from several slices of the volume."""
        card, slices = self.package.card, slices_to_show(volume.shape[0])
        shown = replace(
            volume, pixels=volume.pixels[list(slices)], frames=tuple(volume.frames[index] for index in slices)
        )
        parts: dict[str, list[Tensor]] = {question: [] for question in card.questions}
        with torch.inference_mode():
            for some in self._batches(shown):
                for question, logits in self.network(some).items():
                    temperature = card.operating_point.temperature.get(question, 1.0)
                    parts[question].append(_finite((logits / temperature).softmax(1)))
        return {
            question: classification(classes, torch.cat(parts[question]).numpy(), slices)
            for question, classes in card.questions.items()
        }


class Segmenter(_Ready):
    """A package that gives every voxel a score."""

    def scores(self, volume: Volume) -> NDArray[np.float32]:
        """Scores 0..1 (slice, row, column) on the volume's own grid."""
        return np.concatenate(list(self.score_parts(volume)))

    def score_parts(self, volume: Volume) -> Iterator[NDArray[np.float32]]:
        """The same in parts, as many slices as the network takes at once, from the first slice on."""
        placement = placement_of(volume.pixels, self.package.card.preparation)
        for some in self._batches(volume):
            with torch.inference_mode():
                scores = placement.restore(_finite(self.network(some)[:, 0].sigmoid())).numpy()
            yield scores  # outside: who takes them is not in that mode


class Detector(_Ready):
    """A package that draws boxes around things."""

    def boxes(self, volume: Volume, threshold: float | None = None) -> tuple[Region, ...]:
        """Every box above the threshold, the card's if none is given, slice by slice, the best first; of those that
        overlap, one."""
        card = self.package.card
        chosen = {} if threshold is None else {"threshold": threshold}
        point = card.operating_point.model_copy(update=chosen)
        placement = placement_of(volume.pixels, card.preparation)
        (classes,) = card.questions.values()
        found, numbers = [], count()
        with torch.inference_mode():
            for some in self._batches(volume):
                answer, *_ = self.network(some)
                for candidates in _finite(answer):
                    found += regions(candidates, classes, next(numbers), placement, point)
        return tuple(found)


def _finite(scores: Tensor) -> Tensor:
    """Raises RuntimeError over what is no number: it would pass for nothing found."""
    if not scores.isfinite().all():
        raise RuntimeError("the network's scores are not all numbers")
    return scores


def regions(
    candidates: Tensor, classes: Sequence[str], slice_index: int, placement: Placement, point: OperatingPoint
) -> list[Region]:
    """From the candidates (4 + classes, n) of one slice, as `yolo.yolov5` describes them, to boxes on its own grid."""
    scores, best = candidates[4:].max(0)
    chosen = scores > point.threshold
    corners = box_convert(candidates[:4].T[chosen], "cxcywh", "xyxy")
    scores, best = scores[chosen], best[chosen]
    kept = batched_nms(corners, scores, best, point.overlap)
    boxes = placement.restore_boxes(corners[kept]).tolist()
    return [
        Region(classes[int(label)], float(score), slice_index, *box)
        for box, score, label in zip(boxes, scores[kept], best[kept], strict=True)
        if box[2] > box[0] and box[3] > box[1]
    ]


Model = Classifier | Segmenter | Detector
_KINDS: Mapping[Task, type[Classifier] | type[Segmenter] | type[Detector]] = {
    Task.CLASSIFICATION: Classifier,
    Task.DETECTION: Detector,
    Task.SEGMENTATION: Segmenter,
}


def load(package: Package, compiling: Compiling | None = None) -> Model | BrokenPackage:
    """Make the network ready and ask it about a blank picture; a package whose files do not fit its card says how.

    Without `compiling` the project's own networks run in torch.
    """
    card = package.card
    try:
        network = _network(package, compiling)
        with torch.inference_mode():
            size = card.preparation.size
            problem = _misfit(card, network(torch.zeros(1, card.preparation.channels, size, size)))
    except KeyError as error:
        return BrokenPackage(package.folder, str(error.args[0]))
    except (RuntimeError, SafetensorError) as error:  # torch lists every tensor that does not fit; one line is enough
        problem = f"its weights do not fit architecture {card.architecture}" if card.architecture else card.file
        problem = f"{problem}: {_first_line(error)}"
    if problem:
        return BrokenPackage(package.folder, problem)
    return _KINDS[card.task](package, network)


def _network(package: Package, compiling: Compiling | None) -> Network:
    card = package.card
    if not card.architecture:
        return ForeignNetwork(package.folder / card.file, card)
    if compiling is None:
        return own_network(package)
    if compiling.on_gpu and (network := _on_gpu(package, compiling)) is not None:
        return network
    try:
        if compiling.wants_int8(card):
            return quantised(package.folder, card)
        return compiled(card, partial(own_network, package), compiling)
    except NotConvertibleError as error:
        _LOGGER.warning(
            "%s runs in torch: OpenVINO cannot take it (%s)", card.name, error, extra={"action": "not_compiled"}
        )
        return own_network(package)


def _on_gpu(package: Package, compiling: Compiling) -> GpuNetwork | None:
    """None where the GPU has no room for it, or is not there."""
    network = own_network(package)
    try:
        return gpu_network(network, package.card, compiling.precision)
    except RuntimeError as error:
        told = package.card.name, type(error).__name__
        _LOGGER.warning("%s runs on the processor, not on the GPU (%s)", *told, extra={"action": "not_on_gpu"})
        return None


def own_network(package: Package) -> nn.Module:
    """In torch, as the card's architecture has it. Raises KeyError, RuntimeError and SafetensorError over what does not
    fit."""
    network = build(package.card.architecture, package.card.questions, package.card.preparation.channels)
    state = load_weights(package.folder / package.card.file)
    network.load_state_dict(state)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RuntimeError(f"{name} holds what is no number")
    return network.eval().to(memory_format=torch.channels_last)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _misfit(card: Card, answer: Tensor | Mapping[str, Tensor] | Sequence[Tensor]) -> str:
    """How the answer to one blank picture differs from what the card says; empty if it does not."""
    for question, classes in card.questions.items():
        if isinstance(answer, Mapping):
            tensor = answer[question]
        else:
            tensor = answer if isinstance(answer, Tensor) else answer[0]
        found, wanted = tuple(tensor.shape), _shape(card, len(classes))
        if len(found) != len(wanted) or any(w not in (f, _ANY) for f, w in zip(found, wanted, strict=True)):
            told = " x ".join("any" if side == _ANY else str(side) for side in wanted)
            return f"its answer to {question} has shape {' x '.join(map(str, found))}, and its card means {told}"
        if not tensor.isfinite().all():
            return f"its answer to {question} about a blank picture is no number"
    return ""


def _shape(card: Card, classes: int) -> tuple[int, ...]:
    size = card.preparation.size
    match card.task:
        case Task.CLASSIFICATION:
            return 1, classes
        case Task.DETECTION:
            return 1, 4 + classes, _ANY
        case Task.SEGMENTATION:
            return 1, classes, size, size


def whole_batches(volume: Volume, at_once: int) -> Volume | None:
    """As many slices, from the first on, as are asked about in full batches of `at_once`; more slices change none."""
    count = volume.shape[0] - volume.shape[0] % at_once
    return replace(volume, pixels=first_slices(volume.pixels, count), frames=volume.frames[:count]) if count else None


def load_all(
    packages: Mapping[str, Package | BrokenPackage], compiling: Compiling | None = None
) -> dict[str, Model | BrokenPackage]:
    """Make every whole package ready; what is broken stays listed with its reason."""
    whole = [package for package in packages.values() if isinstance(package, Package)]
    if compiling is not None and compiling.folder is not None:
        discard_others(compiling.folder, [package.card for package in whole])
    return {
        name: load(package, compiling) if isinstance(package, Package) else package
        for name, package in packages.items()
    }


def asked_through(
    shelf: Mapping[str, Model | BrokenPackage], door: Callable[[Model], Network]
) -> dict[str, Model | BrokenPackage]:
    """The same models, each asked through what `door` gives for it; what is broken stays so."""
    return {
        name: model if isinstance(model, BrokenPackage) else type(model)(model.package, door(model))
        for name, model in shelf.items()
    }


def remembering(shelf: Mapping[str, Model | BrokenPackage], memory: Memory) -> dict[str, Model | BrokenPackage]:
    """The same models, asked through a memory."""
    return asked_through(shelf, lambda model: RememberingNetwork(model.package.digest, model.network, memory))
