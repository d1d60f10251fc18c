"""The course of a segmenter with one class: lesion against the rest."""

from __future__ import annotations

from collections.abc import Iterator

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.losses import DiceLoss, SoftBCEWithLogitsLoss
from torch import Tensor, nn

from inference.architectures import build
from inference.cards import OperatingPoint
from inference.training.augment import augment
from inference.training.loop import Batch
from inference.training.recipe import Phase, Recipe
from inference.training.slices import load_slices
from inference.transforms import resized, standardise

_AT_ONCE = 16


class SegmenterCourse:
    """Dice and cross-entropy over slices; judged by the mean Dice over whole patients."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self.network: nn.Module = build(recipe.architecture, recipe.classes, recipe.preparation.channels).to(device)
        self.network.to(memory_format=torch.channels_last)
        largest = max(phase.size for phase in recipe.phases)
        training = load_slices(recipe, "train", largest)
        self.squares = torch.cat([patient.squares for patient in training])
        self.masks = torch.cat([patient.masks for patient in training])
        self.validation = load_slices(recipe, "valid", largest)
        self._dice = DiceLoss(mode="binary", from_logits=True)
        self._cross_entropy = SoftBCEWithLogitsLoss()

    def batches_per_epoch(self, phase: Phase) -> int:
        """How many batches `batches` yields."""
        return (self.recipe.data.per_epoch or len(self.squares)) // phase.batch

    def batches(self, phase: Phase, generator: torch.Generator) -> Iterator[Batch]:
        """Every slice about once, in random order, changed at random with its mask."""
        order = torch.randperm(len(self.squares), generator=generator)
        for chosen in order[: self.batches_per_epoch(phase) * phase.batch].split(phase.batch):
            squares = resized(self.squares[chosen].float(), phase.size)
            masks = resized(self.masks[chosen].float(), phase.size)
            pictures, changed = augment(squares, masks, self.recipe.augmentation, generator)
            if changed is None:
                raise AssertionError("masks went in, so masks come out")
            yield standardise(pictures, self.recipe.preparation), {"mask": changed}

    def loss(self, answer: Tensor | dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Dice over the batch plus cross-entropy per voxel."""
        if isinstance(answer, dict):
            raise TypeError("a segmenter answers with one map")
        logits, mask = answer.float(), targets["mask"]
        loss: Tensor = self._dice(logits, mask) + self._cross_entropy(logits, mask)
        return loss

    def validate(self, phase: Phase) -> dict[str, float]:
        """Mean Dice over patients and pooled IoU, on the square input at this phase's size; the score is the Dice."""
        threshold = self.recipe.operating_point.threshold
        truths, answers = [], []
        for patient in self.validation:
            scores = predict(self.network, resized(patient.squares.float(), phase.size), self.recipe)
            answers.append(scores > threshold)
            truths.append(resized(patient.masks.float(), phase.size) > 0.5)
        return figures(answers, truths)

    def judge(self) -> tuple[dict[str, float], OperatingPoint]:
        """The figures of the last phase; the recipe's operating point."""
        found = self.validate(self.recipe.phases[-1])
        del found["score"]
        return {**found, "patients": float(len(self.validation))}, self.recipe.operating_point


def figures(answers: list[Tensor], truths: list[Tensor]) -> dict[str, float]:
    """Mean per-patient Dice, pooled IoU; one bool tensor per patient, any shape, the same for both."""
    counts = [
        smp.metrics.get_stats(a.view(1, 1, -1), t.view(1, 1, -1).long(), mode="binary")
        for a, t in zip(answers, truths, strict=True)
    ]
    tp, fp, fn, tn = (torch.cat(part) for part in zip(*counts, strict=True))
    dice = smp.metrics.f1_score(tp, fp, fn, tn, reduction="micro-imagewise")
    iou = smp.metrics.iou_score(tp, fp, fn, tn, reduction="micro")
    return {"mean patient dice": float(dice), "pooled iou": float(iou), "score": float(dice)}


def predict(network: nn.Module, squares: Tensor, recipe: Recipe) -> Tensor:
    """Scores 0..1 (n, 1, size, size) for squares 0..1."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for some in standardise(squares, recipe.preparation).split(_AT_ONCE):
            logits = network(some.to(device, memory_format=torch.channels_last))
            parts.append(logits.float().sigmoid().cpu())
    return torch.cat(parts)
