"""The course of a detector: boxes around findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_convert, box_iou

from inference.architectures import build
from inference.cards import OperatingPoint
from inference.findings import Region
from inference.models import regions
from inference.training.augment import change, draw_views, move_boxes
from inference.training.boxes import BoxedPictures, load_boxed
from inference.training.loop import Batch
from inference.training.recipe import Phase, Recipe
from inference.transforms import Placement, resized, standardise

_AT_ONCE = 32
#: Average precision counts boxes down to this score; the operating point is chosen among them.
_ALL_BOXES = 0.01
_THRESHOLDS = [round(0.05 * step, 2) for step in range(1, 19)]


class DetectorCourse:
    """The loss of YOLOv5 over augmented pictures; judged by average precision at an overlap of one half."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        from inference.yolo import detection_loss  # noqa: PLC0415  # ultralytics is large, and only detectors need it

        self.recipe = recipe
        self.network: nn.Module = build(recipe.architecture, recipe.classes, recipe.preparation.channels).to(device)
        self.network.to(memory_format=torch.channels_last)
        self._loss = detection_loss(self.network)
        largest = max(phase.size for phase in recipe.phases)
        self.training = load_boxed(recipe, "train", largest)
        self.validation = load_boxed(recipe, "valid", largest)

    def batches_per_epoch(self, phase: Phase) -> int:
        """How many batches `batches` yields."""
        return (self.recipe.data.per_epoch or len(self.training)) // phase.batch

    def batches(self, phase: Phase, generator: torch.Generator) -> Iterator[Batch]:
        """Every picture about once, in random order, changed at random with its boxes."""
        order = torch.randperm(len(self.training), generator=generator)
        for chosen in order[: self.batches_per_epoch(phase) * phase.batch].split(phase.batch):
            squares = resized(self.training.squares[chosen].float(), phase.size)
            views = draw_views(len(chosen), self.recipe.augmentation, generator)
            pictures = change(squares, views, self.recipe.augmentation, generator)
            yield standardise(pictures, self.recipe.preparation), self._targets(chosen.tolist(), views)

    def _targets(self, chosen: list[int], views: Tensor) -> dict[str, Tensor]:
        numbers, classes, boxes = [], [], []
        for number, (index, view) in enumerate(zip(chosen, views, strict=True)):
            for label in self.training.classes[index].unique():
                moved = move_boxes(self.training.boxes[index][self.training.classes[index] == label], view)
                numbers.append(torch.full((len(moved),), float(number)))
                classes.append(torch.full((len(moved), 1), float(label)))
                boxes.append(box_convert(moved, "xyxy", "cxcywh"))
        return {
            "batch_idx": torch.cat([torch.zeros(0), *numbers]),
            "cls": torch.cat([torch.zeros(0, 1), *classes]),
            "bboxes": torch.cat([torch.zeros(0, 4), *boxes]),
        }

    def loss(self, answer: Tensor | dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """As YOLOv5 has it, as a mean over the batch."""
        if not isinstance(answer, dict):
            raise TypeError("a detector in training answers with the parts of its loss")
        exact = {name: part.float() if isinstance(part, Tensor) else part for name, part in answer.items()}
        return self._loss(exact, targets) / len(exact["scores"])

    def validate(self, phase: Phase) -> dict[str, float]:
        """Average precision on the square input at this phase's size; the score is that at an overlap of one half."""
        found = predict(self.network, self.validation, self.recipe, phase.size)
        figures = average_precision(found, self.validation)
        return {**figures, "score": figures["AP50"]}

    def judge(self) -> tuple[dict[str, float], OperatingPoint]:
        """Average precision, and the threshold with the highest F1, with what it finds there."""
        found = predict(self.network, self.validation, self.recipe, self.recipe.preparation.size)
        best = max(
            (at_threshold(found, self.validation, threshold) for threshold in _THRESHOLDS), key=lambda each: each["F1"]
        )
        threshold = best.pop("threshold")
        figures = {**average_precision(found, self.validation), **best, "pictures": float(len(self.validation))}
        return figures, self.recipe.operating_point.model_copy(update={"threshold": threshold})


def predict(network: nn.Module, pictures: BoxedPictures, recipe: Recipe, size: int) -> list[list[Region]]:
    """Every box of every picture, however low its score, in parts of the square; the picture's number is the slice."""
    network.eval()
    device = next(network.parameters()).device
    (classes,) = recipe.classes.values()
    point = recipe.operating_point.model_copy(update={"threshold": _ALL_BOXES})
    whole = Placement(1, 1, size)
    found: list[list[Region]] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for some in pictures.squares.split(_AT_ONCE):
            squares = standardise(resized(some.float(), size), recipe.preparation)
            answer, *_ = network(squares.to(device, memory_format=torch.channels_last))
            for candidates in answer.float().cpu():
                found.append(regions(candidates, classes, len(found), whole, point))
    return found


def average_precision(found: list[list[Region]], pictures: BoxedPictures) -> dict[str, float]:
    """AP at an overlap of one half, and the mean over 0.5 to 0.95 (COCO), over all classes as one."""
    metric = MeanAveragePrecision(backend="faster_coco_eval")
    answers = [
        {"boxes": _corners(boxes), "scores": torch.tensor([box.score for box in boxes]), "labels": _zeros(len(boxes))}
        for boxes in found
    ]
    metric.update(answers, [{"boxes": boxes, "labels": _zeros(len(boxes))} for boxes in pictures.boxes])
    values = metric.compute()
    return {"AP50": float(values["map_50"]), "AP50-95": float(values["map"])}


def at_threshold(found: list[list[Region]], pictures: BoxedPictures, threshold: float) -> dict[str, float]:
    """Precision, sensitivity and F1 over boxes above a score, one truth for each, at an overlap of one half, and the
    boxes in vain per picture."""
    right = wrong = 0
    for boxes, truths in zip(found, pictures.boxes, strict=True):
        met = meets([box for box in boxes if box.score > threshold], truths)
        right, wrong = right + sum(met), wrong + len(met) - sum(met)
    total = sum(map(len, pictures.boxes))
    return {
        "threshold": threshold,
        "precision": right / max(right + wrong, 1),
        "sensitivity": right / max(total, 1),
        "F1": 2 * right / max(right + wrong + total, 1),
        "boxes in vain per picture": wrong / max(len(found), 1),
    }


def meets(boxes: Sequence[Region], truths: Tensor) -> list[bool]:
    """Which boxes meet a truth (n, 4): each, the best first, takes the one it overlaps most, if by half and not taken
    yet."""
    met, free = [False] * len(boxes), set(range(len(truths)))
    if not len(truths) or not boxes:
        return met
    overlaps = box_iou(_corners(boxes), truths)
    for index in sorted(range(len(boxes)), key=lambda index: -boxes[index].score):
        best = int(overlaps[index].argmax())
        if best in free and float(overlaps[index, best]) >= 0.5:
            free.discard(best)
            met[index] = True
    return met


def _corners(boxes: Sequence[Region]) -> Tensor:
    return torch.tensor([[box.left, box.top, box.right, box.bottom] for box in boxes]).view(-1, 4)


def _zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)
