"""The course of a classifier with one head per question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy

from inference.architectures import build
from inference.cards import OperatingPoint
from inference.training.augment import augment
from inference.training.calibrate import Calibration, calibrate
from inference.training.loop import Batch
from inference.training.pictures import Pictures, load_pictures, shuffled
from inference.training.recipe import Phase, Recipe
from inference.transforms import resized, standardise

#: Part of every batch that is replaced by shuffled real pictures, which belong to no class.
_SHUFFLED = 1 / 16
_AT_ONCE = 64


class ClassifierCourse:
    """Soft cross-entropy per question over the pictures it is asked of; what is outside aims at an even answer."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self.network: nn.Module = build(recipe.architecture, recipe.classes, recipe.preparation.channels).to(device)
        self.network.to(memory_format=torch.channels_last)
        largest = max(phase.size for phase in recipe.phases)
        self.training = load_pictures(recipe, "train", largest)
        self.validation = load_pictures(recipe, "valid", largest)
        counts = Counter(self.training.groups)
        #: Rare groups are drawn more often, but not as often as would make them equal.
        self._weights = torch.tensor([counts[group] ** -0.5 for group in self.training.groups])

    def batches_per_epoch(self, phase: Phase) -> int:
        """How many batches `batches` yields."""
        return (self.recipe.data.per_epoch or len(self.training)) // phase.batch

    def batches(self, phase: Phase, generator: torch.Generator) -> Iterator[Batch]:
        """Pictures drawn with replacement, changed at random, a few of them shuffled beyond recognition."""
        wanted = self.batches_per_epoch(phase) * phase.batch
        drawn = torch.multinomial(self._weights, wanted, replacement=True, generator=generator)
        for chosen in drawn.split(phase.batch):
            squares = resized(self.training.squares[chosen].float(), phase.size)
            targets = {name: target[chosen].clone() for name, target in self.training.targets.items()}
            lost = torch.rand(len(chosen), generator=generator) < _SHUFFLED
            if lost.any():
                squares[lost] = shuffled(squares[lost], generator)
                for target in targets.values():
                    target[lost] = 1 / target.shape[1]
            pictures, _ = augment(squares, None, self.recipe.augmentation, generator)
            yield standardise(pictures, self.recipe.preparation), targets

    def loss(self, answer: Tensor | dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Mean over questions of the mean over the pictures asked."""
        if not isinstance(answer, dict):
            raise TypeError("a classifier answers per question")
        parts = []
        for name, logits in answer.items():
            asked = targets[name].sum(1) > 0
            if asked.any():
                parts.append(functional.cross_entropy(logits[asked].float(), targets[name][asked]))
        return torch.stack(parts).sum()

    def validate(self, phase: Phase) -> dict[str, float]:
        """Accuracy per question over real pictures that belong to one of its classes; the score is their mean."""
        logits = predict(self.network, resized(self.validation.squares.float(), phase.size), self.recipe)
        figures = {f"{name} accuracy": accuracy(logits[name], self.validation, name) for name in self.recipe.questions}
        return {**figures, "score": sum(figures.values()) / len(figures)}

    def judge(self) -> tuple[dict[str, float], OperatingPoint]:
        """Per question its figures, named after it, and its operating point, both on the validation split."""
        squares = resized(self.validation.squares.float(), self.recipe.preparation.size)
        found = {
            question: self._calibration(question, logits)
            for question, logits in predict(self.network, squares, self.recipe).items()
        }
        return (
            {f"{question} {name}": value for question, each in found.items() for name, value in each.figures.items()},
            OperatingPoint(
                temperature={question: each.temperature for question, each in found.items()},
                minimum_score={question: each.minimum_score for question, each in found.items()},
            ),
        )

    def _calibration(self, question: str, logits: Tensor) -> Calibration:
        targets, known = self.validation.targets[question], known_real(self.validation, question)
        return calibrate(logits[known], targets[known].argmax(1), logits[(targets > 0).all(1)])


def predict(network: nn.Module, squares: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """Logits (n, classes) per question for squares 0..1."""
    network.eval()
    device = next(network.parameters()).device
    parts: dict[str, list[Tensor]] = {name: [] for name in recipe.questions}
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for some in standardise(squares, recipe.preparation).split(_AT_ONCE):
            for name, logits in network(some.to(device, memory_format=torch.channels_last)).items():
                parts[name].append(logits.float().cpu())
    return {name: torch.cat(logits) for name, logits in parts.items()}


def known_real(pictures: Pictures, question: str) -> Tensor:
    """Which pictures are real and belong to exactly one class of the question."""
    real = torch.tensor([not group.startswith("phantom:") for group in pictures.groups])
    return real & (pictures.targets[question].max(1).values == 1)


def accuracy(logits: Tensor, pictures: Pictures, question: str) -> float:
    """Part of the known real pictures whose best class is right."""
    known = known_real(pictures, question)
    target = pictures.targets[question][known].argmax(1)
    return float(multiclass_accuracy(logits[known], target, num_classes=logits.shape[1], average="micro"))
