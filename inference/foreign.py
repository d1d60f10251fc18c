"""Networks that come as a file of their own, ONNX or OpenVINO, run by OpenVINO as the project's own run by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import Tensor

from inference.cards import Card
from inference.compiled import Precision, compile_model
from inference.findings import Task

#: Scores are kept this far from 0 and 1 before they become logits.
_EPSILON = 1e-6


class ForeignNetwork:
    """Called as a network of torch is: (n, channels, size, size) to what the task's model expects.

    It cannot be differentiated.
    """

    def __init__(self, path: Path, card: Card) -> None:
        """Raises RuntimeError for a file OpenVINO cannot read, or whose inputs and outputs are not the card's."""
        model = openvino.Core().read_model(path)
        if len(model.inputs) != 1:
            raise RuntimeError(f"it has {len(model.inputs)} inputs, and one is fed")
        batch = model.input(0).partial_shape[0]
        self._one_by_one = batch.is_static and batch.get_length() == 1
        self._compiled = compile_model(model, Precision.FLOAT32)
        self._card = card
        self._outputs = {question: self._output(question, index) for index, question in enumerate(card.questions)}

    def _output(self, question: str, index: int) -> openvino.ConstOutput:
        names = self._card.outputs.names
        if not names:
            if index >= len(self._compiled.outputs):
                raise RuntimeError(f"it has no output for {question}; name it in the card under outputs.names")
            return self._compiled.output(index)
        if question not in names:
            raise RuntimeError(f"outputs.names of its card does not name the output for {question}")
        known = sorted(name for output in self._compiled.outputs for name in output.get_names())
        if names[question] not in known:
            raise RuntimeError(f"it has no output {names[question]!r} for {question}, but {', '.join(known)}")
        return self._compiled.output(names[question])

    def _run(self, pictures: Tensor) -> dict[str, Tensor]:
        parts = pictures.split(1) if self._one_by_one else (pictures,)
        found: dict[str, list[Tensor]] = {question: [] for question in self._outputs}
        for part in parts:
            results = self._compiled([np.ascontiguousarray(part.numpy())])
            for question, output in self._outputs.items():
                found[question].append(torch.from_numpy(np.array(results[output], np.float32)))
        return {question: torch.cat(tensors) for question, tensors in found.items()}

    def __call__(self, pictures: Tensor) -> dict[str, Tensor] | Tensor | tuple[Tensor]:
        """Classifier: logits (n, classes) per question. Segmenter: logits (n, classes, size, size). Detector:
        ((n, 4 + classes, candidates),), see `inference.yolo`."""
        answers = self._run(pictures)
        if self._card.task is Task.DETECTION:
            (boxes,) = answers.values()
            return (boxes,)
        if self._card.outputs.activated:
            to_logits = _LOGITS[self._card.task]
            answers = {
                question: to_logits(scores.clamp(_EPSILON, 1 - _EPSILON)) for question, scores in answers.items()
            }
        if self._card.task is Task.CLASSIFICATION:
            return answers
        (maps,) = answers.values()
        return maps


#: From scores to what softmax, or the logistic function, turns into them again.
_LOGITS: Mapping[Task, Callable[[Tensor], Tensor]] = {Task.CLASSIFICATION: torch.log, Task.SEGMENTATION: torch.logit}
