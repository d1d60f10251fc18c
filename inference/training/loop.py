"""The training loop: phases, learning rate, checkpoints that can be taken up again, the best epoch kept.

What is trained is a `Course`; the loop knows neither pictures nor questions.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from inference.cards import OperatingPoint
from inference.training.curves import draw_curves
from inference.training.recipe import Phase, Recipe, RecipeError

log = logging.getLogger(__name__)

HISTORY = "history.jsonl"
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
class Progress:
    """How far a training is, as progress.json has it."""

    epochs_done: int
    #: Figures of the best epoch of the phase, and its number (that of the phase's first one less one while none is).
    best: dict[str, float]
    best_epoch: int


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


def _averaged(network: nn.Module, decay: float) -> AveragedModel:
    """The network whose weights are the exponential moving average of this one's, statistics of its layers included;
    with a decay of 0, simply this one's."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _save_state(network: nn.Module, path: Path) -> None:
    save_file({f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


def _save_progress(network: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer, path: Path) -> None:
    state = {f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    state.update({f"average.{name}": tensor.contiguous() for name, tensor in average.state_dict().items()})
    for index, moments in optimizer.state_dict()["state"].items():
        state.update({f"optimizer.{index}.{name}": moments[name].contiguous() for name in _MOMENTS})
    partial = path.with_suffix(".part")
    save_file(state, partial)
    partial.replace(path)


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _load_progress(network: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer, path: Path) -> None:
    state = load_file(path)
    network.load_state_dict(_part(state, "network."))
    average.load_state_dict(_part(state, "average."))
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
    own, known = network.state_dict(), _part(load_file(path), "network.")
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


def _judged(course: Course, average: AveragedModel, phase: Phase, folder: Path, best: float) -> dict[str, float]:
    """Figures of the averaged network, which is kept if they are the best so far; the trained one is as before."""
    trained = {name: tensor.clone() for name, tensor in course.network.state_dict().items()}
    course.network.load_state_dict(average.module.state_dict())
    figures = course.validate(phase)
    if figures["score"] >= best:
        _save_state(course.network, folder / _BEST)
    course.network.load_state_dict(trained)
    return figures


def fit(course: Course, recipe: Recipe, folder: Path, on_step: Callable[[Step], None]) -> dict[str, float]:
    """Train through all phases, or go on where the checkpoint in `folder` stands; leaves the best epoch of the last
    phase in `course.network` and returns its figures. `history.jsonl` holds one line per epoch, `curves.svg` draws
    them. A phase ends early when its score has not risen for `patience` epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(course.network.parameters(), weight_decay=recipe.weight_decay)
    progress = Progress(epochs_done=0, best={"score": -1.0}, best_epoch=0)
    if (folder / _PROGRESS).exists():
        progress = Progress(**json.loads((folder / _PROGRESS).read_text(encoding="utf-8")))
        average = _averaged(course.network, recipe.averaging)
        _load_progress(course.network, average, optimizer, folder / _LAST)
        log.info("going on after epoch %d", progress.epochs_done, extra={"action": "training_resumed"})
    else:
        if recipe.start_from is not None:
            _start_from(course.network, recipe.start_from / _BEST)
        average = _averaged(course.network, recipe.averaging)
    epochs = [phase for phase in recipe.phases for _ in range(phase.epochs)]
    for epoch in range(progress.epochs_done, len(epochs)):
        phase, started = epochs[epoch], time.monotonic()
        if epoch and epochs[epoch - 1] is not phase:  # figures at another input size do not compare
            progress = replace(progress, best={"score": -1.0}, best_epoch=epoch)
        if recipe.patience and epoch - progress.best_epoch >= recipe.patience:
            continue
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        batches, total = course.batches_per_epoch(phase), 0.0
        rate = _rate_of(epoch, len(epochs), phase)
        for number, loss in enumerate(_train_epoch(course, phase, optimizer, generator, rate)):
            average.update_parameters(course.network)
            total += loss
            on_step(Step(epoch + 1, len(epochs), number + 1, batches, loss))
        figures = _judged(course, average, phase, folder, progress.best["score"])
        _record(folder, epoch, phase, total / batches, time.monotonic() - started, figures)
        better = figures["score"] >= progress.best["score"]
        progress = Progress(
            epochs_done=epoch + 1,
            best=figures if better else progress.best,
            best_epoch=epoch + 1 if better else progress.best_epoch,
        )
        _save_progress(course.network, average, optimizer, folder / _LAST)
        (folder / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    course.network.load_state_dict(_part(load_file(folder / _BEST), "network."))
    return progress.best


def _record(folder: Path, epoch: int, phase: Phase, loss: float, seconds: float, figures: dict[str, float]) -> None:
    line = {"epoch": epoch + 1, "size": phase.size, "loss": loss, "seconds": seconds, **figures}
    with (folder / HISTORY).open("a", encoding="utf-8") as history:
        history.write(json.dumps(line) + "\n")
    log.info("epoch %d: %s", epoch + 1, json.dumps(line), extra={"action": "epoch_done"})
    draw_curves(folder / HISTORY, folder / "curves.svg")


def _rate_of(epoch: int, epochs: int, phase: Phase) -> Callable[[float], float]:
    return lambda part: learning_rate((epoch + part) / epochs, phase.learning_rate)
