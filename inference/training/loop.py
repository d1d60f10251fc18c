"""The training loop: phases, learning rate, checkpoints that can be taken up again, the best epoch kept.

What is trained is a `Course`; the loop knows neither pictures nor questions.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inference.cards import OperatingPoint
from inference.training.recipe import Phase, Recipe, RecipeError

log = logging.getLogger(__name__)

_PROGRESS = "progress.json"
_LAST = "last.safetensors"
_BEST = "best.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_WARM_UP = 0.05
Batch = tuple[Tensor, dict[str, Tensor]]


class Course(Protocol):
    """What the loop needs to know of a task."""

    network: nn.Module

    def batches_per_epoch(self, phase: Phase) -> int:
        """How many batches `batches` yields."""

    def batches(self, phase: Phase, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch: pictures (n, 1, size, size) ready for the network, and targets."""

    def loss(self, answer: Tensor | dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """The number to make small."""

    def validate(self, phase: Phase) -> dict[str, float]:
        """Figures on the validation split; "score" decides which epoch is best."""

    def judge(self) -> tuple[dict[str, float], OperatingPoint]:
        """Figures of the finished network for its card, and where its scores become answers."""


@dataclass(frozen=True, slots=True)
class Step:
    """Told after every batch, for whoever shows progress."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float


def learning_rate(done: float, highest: float) -> float:
    """Warm-up, then half a cosine down to a hundredth; `done` is the part of the training that is over, 0..1."""
    if done < _WARM_UP:
        return highest * (done / _WARM_UP + 0.01)
    return highest * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP))))


def _save_state(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> None:
    state = {f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        state.update({f"optimizer.{index}.{name}": moments[name].contiguous() for name in _MOMENTS})
    partial = path.with_suffix(".part")
    save_file(state, partial)
    partial.replace(path)


def _load_state(network: nn.Module, optimizer: torch.optim.Optimizer | None, path: Path) -> None:
    state = load_file(path)
    network.load_state_dict(
        {name.removeprefix("network."): t for name, t in state.items() if name.startswith("network.")}
    )
    if optimizer is None:
        return
    whole = optimizer.state_dict()
    for name, tensor in state.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            whole["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(whole)


def _start_from(network: nn.Module, path: Path) -> None:
    """Take over every tensor of a checkpoint that has the name and shape of one of the network's."""
    if not path.exists():
        raise RecipeError(f"start_from: {path} does not exist; train that first, or leave the key out")
    own, state = network.state_dict(), load_file(path)
    known = {name.removeprefix("network."): tensor for name, tensor in state.items() if name.startswith("network.")}
    fitting = {name: tensor for name, tensor in known.items() if name in own and own[name].shape == tensor.shape}
    network.load_state_dict({**own, **fitting})
    log.info("%d of %d tensors taken over", len(fitting), len(own), extra={"action": "training_started_from"})


def _train_epoch(
    course: Course,
    phase: Phase,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    rate: Callable[[float], float],
) -> Iterator[float]:
    """One epoch, yielding each batch's loss; `rate` maps the part of the epoch that is over to a learning rate."""
    course.network.train()
    device = next(course.network.parameters()).device
    batches = course.batches_per_epoch(phase)
    for number, (pictures, targets) in enumerate(course.batches(phase, generator)):
        for group in optimizer.param_groups:
            group["lr"] = rate(number / batches)
        with torch.autocast(device.type, torch.bfloat16):
            answer = course.network(pictures.to(device, memory_format=torch.channels_last))
        loss = course.loss(answer, {name: target.to(device) for name, target in targets.items()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(course.network.parameters(), 5.0)
        optimizer.step()
        yield float(loss.detach())


def fit(course: Course, recipe: Recipe, folder: Path, on_step: Callable[[Step], None]) -> dict[str, float]:
    """Train through all phases, or go on where the checkpoint in `folder` stands; leaves the best epoch of the last
    phase in `course.network` and returns its figures. `history.jsonl` holds one line per epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(course.network.parameters(), weight_decay=recipe.weight_decay)
    epochs = [phase for phase in recipe.phases for _ in range(phase.epochs)]
    first, best = 0, {"score": -1.0}
    if (folder / _PROGRESS).exists():
        progress = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
        first, best = progress["epochs_done"], progress["best"]
        _load_state(course.network, optimizer, folder / _LAST)
        log.info("going on after epoch %d", first, extra={"action": "training_resumed"})
    elif recipe.start_from is not None:
        _start_from(course.network, recipe.start_from / _BEST)
    for epoch in range(first, len(epochs)):
        phase, started = epochs[epoch], time.monotonic()
        if epoch and epochs[epoch - 1] is not phase:
            best = {"score": -1.0}  # figures at another input size do not compare
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        batches, total = course.batches_per_epoch(phase), 0.0
        rate = _rate_of(epoch, len(epochs), phase)
        for number, loss in enumerate(_train_epoch(course, phase, optimizer, generator, rate)):
            total += loss
            on_step(Step(epoch + 1, len(epochs), number + 1, batches, loss))
        figures = course.validate(phase)
        line = {
            "epoch": epoch + 1,
            "size": phase.size,
            "loss": total / batches,
            "seconds": time.monotonic() - started,
            **figures,
        }
        with (folder / "history.jsonl").open("a", encoding="utf-8") as history:
            history.write(json.dumps(line) + "\n")
        log.info("epoch %d: %s", epoch + 1, json.dumps(line), extra={"action": "epoch_done"})
        if figures["score"] >= best["score"]:
            best = figures
            _save_state(course.network, optimizer, folder / _BEST)
        _save_state(course.network, optimizer, folder / _LAST)
        (folder / _PROGRESS).write_text(json.dumps({"epochs_done": epoch + 1, "best": best}), encoding="utf-8")
    _load_state(course.network, None, folder / _BEST)
    return best


def _rate_of(epoch: int, epochs: int, phase: Phase) -> Callable[[float], float]:
    return lambda part: learning_rate((epoch + part) / epochs, phase.learning_rate)
