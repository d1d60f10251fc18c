"""The project's own networks as OpenVINO runs them: several times as fast on a processor as torch, and as right.

A network is converted from its torch weights when it is first asked for, and kept under what it was made from, so that
later starts convert nothing. Torch stays the reference: tests hold what is compiled to it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino
import torch
from openvino.frontend import FrontEndManager, GeneralFailure, OpConversionFailure, OpValidationFailure
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from inference.cards import QUANTISED_FILES, Card
from inference.findings import Task

_LOGGER = logging.getLogger(__name__)

#: What a converted network depends on besides its card and weights.
_MADE_BY = ("openvino", "torch", "torchvision", "segmentation-models-pytorch", "ultralytics", "monai")
#: Raised when what is converted otherwise than before, so that nothing kept earlier is used.
_FORM = 1
_FILE = "network.xml"
#: What tracing and OpenVINO raise over a network they cannot follow.
_CONVERSION_ERRORS = (RuntimeError, TypeError, ValueError, GeneralFailure, OpConversionFailure, OpValidationFailure)


#: Logits (n, classes) per question, logits (n, classes, size, size), or candidates ((n, 4 + classes, candidates),).
Answer = dict[str, Tensor] | Tensor | tuple[Tensor]


class NotConvertibleError(Exception):
    """OpenVINO does not know how to run the network."""


class Precision(StrEnum):
    """In which numbers a compiled network computes."""

    #: Where the processor multiplies them in hardware, int8 for packages whose cards vouch for it, and bfloat16 for
    #: others; float32 elsewhere.
    AUTO = "auto"
    FLOAT32 = "f32"
    BFLOAT16 = "bf16"


@dataclass(frozen=True, slots=True)
class Compiling:
    """How networks are made fast."""

    precision: Precision = Precision.AUTO
    #: Where converted networks are kept; None: nowhere.
    folder: Path | None = None
    #: Whether they run on the GPU, as far as it has room; then the precision is the GPU's.
    on_gpu: bool = False

    def wants_int8(self, card: Card) -> bool:
        """Whether the package's int8 network is the one to run: a processor with bfloat16 has int8, too."""
        vouched = card.quantisation is not None and self.precision is Precision.AUTO
        return vouched and chosen(self.precision) is Precision.BFLOAT16


class CompiledNetwork:
    """Called as the torch network is, by any thread; it cannot be differentiated."""

    def __init__(self, model: openvino.Model, card: Card, precision: Precision) -> None:
        self._compiled = compile_model(model, precision)
        self._request = self._compiled.create_infer_request()
        self._one_at_a_time = threading.Lock()  # a second pass beside the first would only share its threads
        self._card = card

    def __call__(self, pictures: Tensor) -> Answer:
        """(n, channels, size, size) to the answer, as the card's task has it."""
        stack = np.ascontiguousarray(pictures.numpy())
        with self._one_at_a_time:
            results = self._request.infer([stack], share_inputs=True, share_outputs=True)
            answers = [torch.from_numpy(np.array(results[output], np.float32)) for output in self._compiled.outputs]
        return as_answer(self._card, answers)


def as_answer(card: Card, answers: Sequence[Tensor]) -> Answer:
    """A network's outputs, in their order, as its task has them."""
    if card.task is Task.CLASSIFICATION:
        return dict(zip(card.questions, answers, strict=True))
    return (answers[0],) if card.task is Task.DETECTION else answers[0]


def compile_model(model: openvino.Model, precision: Precision) -> openvino.CompiledModel:
    """Ready to run on the processor, one forward pass at a time, with every thread that torch may use."""
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": str(chosen(precision)),
        "PERFORMANCE_HINT": "LATENCY",
        # several processes with few threads each, as replicas are, would all be bound to the machine's first cores
        "ENABLE_CPU_PINNING": torch.get_num_threads() >= (os.cpu_count() or 1),
    }
    return openvino.Core().compile_model(model, "CPU", settings)


def quantised(folder: Path, card: Card) -> CompiledNetwork:
    """The int8 network of a package that has one. Raises NotConvertibleError where this OpenVINO cannot read it."""
    try:
        return CompiledNetwork(openvino.Core().read_model(folder / QUANTISED_FILES[0]), card, Precision.BFLOAT16)
    except RuntimeError as error:
        raise NotConvertibleError(type(error).__name__) from error


def chosen(precision: Precision) -> Precision:
    """What AUTO stands for on this processor; the others stand for themselves."""
    if precision is not Precision.AUTO:
        return precision
    in_hardware = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return Precision.BFLOAT16 if in_hardware else Precision.FLOAT32


def compiled(card: Card, make: Callable[[], nn.Module], compiling: Compiling) -> CompiledNetwork:
    """The network of a card, as `make` builds it in torch unless it was kept; `make` must give it in evaluation mode.

    Raises NotConvertibleError, and whatever `make` raises.
    """
    model = None if compiling.folder is None else _kept(compiling.folder / kept_name(card))
    if model is None:
        model = converted(make(), card)
        if compiling.folder is not None:
            _keep(model, compiling.folder / kept_name(card))
    return CompiledNetwork(model, card, compiling.precision)


def kept_name(card: Card) -> str:
    """The folder of a converted network: another one for whatever could make it differ."""
    made_of = {
        "form": _FORM,
        "made by": {name: version(name) for name in _MADE_BY},
        "weights": card.weights_sha256,
        "architecture": card.architecture,
        "questions": {question: len(classes) for question, classes in card.questions.items()},
        "input": [card.preparation.channels, card.preparation.size],
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"{card.name}-{digest[:16]}"


def discard_others(folder: Path, cards: Collection[Card]) -> None:
    """Remove the converted networks of `folder` that are none of these cards': their packages have changed."""
    wanted = {kept_name(card) for card in cards}
    for child in folder.iterdir() if folder.is_dir() else ():
        if child.name not in wanted:
            shutil.rmtree(child, ignore_errors=True)


class Answers(nn.Module):
    """A network whose answer is a tensor or several, in the order of `as_answer`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(n, channels, size, size) to a tensor, or one per question."""
        answer = self.network(pictures)
        if isinstance(answer, Mapping):
            return tuple(answer.values())
        first: Tensor = answer if isinstance(answer, Tensor) else answer[0]
        return first


def converted(network: nn.Module, card: Card) -> openvino.Model:
    """For any number of pictures at once, each of the card's channels and size. Raises NotConvertibleError."""
    channels, size = card.preparation.channels, card.preparation.size
    whole, blank = Answers(network).eval(), torch.zeros(1, channels, size, size)
    frontend = FrontEndManager().load_by_framework("pytorch")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch deprecates tracing in favour of torch.export, whose graphs OpenVINO converts three times as slowly
            warnings.simplefilter("ignore")
            whole(blank)  # detectors make their grid of cells at the first picture, and keep it
            traced = torch.jit.trace(whole, (blank,), check_trace=False)
            decoder = TorchScriptPythonDecoder(traced)  # named, since OpenVINO does not keep it from being collected
            model = frontend.convert(frontend.load(decoder))
        model.reshape(openvino.PartialShape([-1, channels, size, size]))
    except _CONVERSION_ERRORS as error:
        raise NotConvertibleError(type(error).__name__) from error
    return model


def _kept(folder: Path) -> openvino.Model | None:
    if not (folder / _FILE).exists():
        return None
    try:
        return openvino.Core().read_model(folder / _FILE)
    except RuntimeError:
        _LOGGER.warning("%s is damaged and made anew", folder.name, extra={"action": "compiled_network_damaged"})
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _keep(model: openvino.Model, folder: Path) -> None:
    """Whole or not at all; where it cannot be written the node goes on without."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            openvino.save_model(model, part / _FILE, compress_to_fp16=False)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        _LOGGER.warning(
            "A compiled network cannot be kept as %s: %s; the next start will convert it again",
            folder,
            type(error).__name__,
            extra={"action": "compiled_network_not_kept"},
        )
