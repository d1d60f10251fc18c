"""Why a stage answered as it did: Grad-CAM (Selvaraju et al., 2017) for classifiers, Grad-CAM++ (Chattopadhay et al.,
2018) for detectors, both by MONAI; a segmenter's scores.

It works on copies of the networks: what is explained answers before and after as if nothing had been asked.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.cascade import Shelf
from inference.findings import HeatMap, StageRun
from inference.models import Classifier, Detector, Model, Segmenter
from inference.stages import Cascade
from inference.transforms import Placement, placement_of, prepared
from inference.volume import Volume

GRAD_CAM, GRAD_CAM_PP, SCORE_MAP = "Grad-CAM", "Grad-CAM++", "score map"
#: Architecture -> its last layer that still knows where in the picture it is.
_LAYERS: Mapping[str, str] = {
    "resnet50": "network.trunk.layer4",
    "densenet121": "network.trunk.features.denseblock4",
    "vgg16": "network.trunk.features",
}
#: Stride in pixels of each scale of a YOLOv5, in the order of its candidates, and the layer whose cells they are.
_SCALES: tuple[tuple[int, str], ...] = ((8, "network.model.17"), (16, "network.model.20"), (32, "network.model.23"))


class _OneAnswer(nn.Module):
    """A network that gives (n, classes) alone: the logits of one question, or the best box's score of each class."""

    def __init__(self, network: nn.Module, question: str) -> None:
        super().__init__()
        self.network = network
        self._question = question

    def forward(self, pictures: Tensor) -> Tensor:
        answer = self.network(pictures)
        if isinstance(answer, Mapping):
            logits: Tensor = answer[self._question]
            return logits
        candidates: Tensor = answer[0]
        return candidates[:, 4:].amax(2)


def explain(volume: Volume, runs: tuple[StageRun, ...], cascade: Cascade, shelf: Shelf) -> tuple[HeatMap, ...]:
    """A heat map for each run that gave an answer: of the middle one of the slices a classifier looked at, of the best
    box's slice, of the slice on which the largest lesion is largest."""
    stages = {stage.name: stage for stage in cascade.stages}
    maps: list[HeatMap] = []
    for run in runs:
        model = shelf.get(stages[run.stage].package)
        if isinstance(model, Model):
            maps += _of_run(run, stages[run.stage].question, model, volume)
    return tuple(maps)


def _of_run(run: StageRun, question: str, model: Model, volume: Volume) -> Iterator[HeatMap]:
    match model:
        case Classifier() if run.classification is not None:
            answer = run.classification
            chosen = answer.slices[len(answer.slices) // 2]
            yield _by_gradient(run.stage, answer.label, chosen, question, model, volume)
        case Detector() if run.regions:
            best = run.regions[0]
            yield _by_gradient(run.stage, best.label, best.slice_index, question, model, volume)
        case Segmenter() if run.segments:
            largest = run.segments[0]
            chosen = largest.mask.largest_slice
            yield HeatMap(run.stage, largest.label, chosen, SCORE_MAP, _scores_on(chosen, model, volume))


def _scores_on(slice_index: int, model: Segmenter, volume: Volume) -> NDArray[np.float32]:
    """Of one slice, in the company in which the network saw it."""
    scores: NDArray[np.float32] = next(islice(chain.from_iterable(model.score_parts(volume)), slice_index, None))
    return scores.copy()


def _by_gradient(
    stage: str, label: str, slice_index: int, question: str, model: Classifier | Detector, volume: Volume
) -> HeatMap:
    card, network = model.package.card, model.differentiable
    method = GRAD_CAM if isinstance(model, Classifier) else GRAD_CAM_PP
    known = (isinstance(model, Detector) and card.architecture.startswith("yolov5")) or card.architecture in _LAYERS
    if network is None or not known:
        reason = f"{card.name} runs as {card.architecture or card.file}, whose gradients are not known"
        return HeatMap(stage, label, slice_index, method, None, reason)
    squares = prepared(volume.pixels, volume.window, card.preparation, 1)
    square, number = next(islice(squares, slice_index, None)), card.questions[question].index(label)
    placement = placement_of(volume.pixels, card.preparation)
    layer = _LAYERS.get(card.architecture) or _scale_of_best(network, square, number)
    heat = _class_activation(_OneAnswer(copy.deepcopy(network), question), layer, method, square, number)
    return HeatMap(stage, label, slice_index, method, _on_grid(heat, placement, card.preparation.size))


@torch.no_grad()
def _scale_of_best(network: nn.Module, square: Tensor, number: int) -> str:
    """The layer from whose cells the best box of a class comes: the others say nothing about it."""
    best, size = int(network(square)[0][0, 4 + number].argmax()), square.shape[-1]
    for stride, layer in _SCALES:
        best -= (size // stride) ** 2
        if best < 0:
            return layer
    raise ValueError(f"the detector has more candidates than {len(_SCALES)} scales hold")


def _class_activation(wrapped: nn.Module, layer: str, method: str, square: Tensor, number: int) -> Tensor:
    """(1, 1, rows, columns) of the layer's own size, 0 where nothing speaks for the class."""
    from monai.visualize.class_activation_maps import GradCAM, GradCAMpp  # noqa: PLC0415  # seconds to import

    maker = GradCAM if method == GRAD_CAM else GradCAMpp
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore", UserWarning)  # no gradient reaches the picture itself, and none is needed
        heat: Tensor = maker(wrapped, layer).compute_map(square, class_idx=number)
    return heat.detach()


def _on_grid(heat: Tensor, placement: Placement, size: int) -> NDArray[np.float32]:
    """The highest value becomes 1; a map that is flat at 0 stays so."""
    whole = functional.interpolate(heat, (size, size), mode="bilinear", align_corners=False)
    values: NDArray[np.float32] = placement.restore(whole[:, 0])[0].numpy().clip(min=0)
    return (values / max(float(values.max()), 1e-12)).astype(np.float32)
