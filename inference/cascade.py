"""The cascade: stages as a table, each ending in a StageRun with an answer or a reason."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from inference.cards import Card
from inference.findings import Classification, Outcome, StageRun, Task
from inference.interpret import is_outside, lesions, plane_of
from inference.models import Classifier, Model, Segmenter
from inference.registry import BrokenPackage
from inference.stages import Stage
from inference.volume import Volume

Shelf = Mapping[str, Model | BrokenPackage]


class _Refusal(Exception):  # not an error: a stage's answer that it cannot answer
    """Why a stage was not attempted, in words for a reader of the report."""


class _Asked:
    """What has been answered for one volume so far; each classifier looks at it once."""

    def __init__(self, volume: Volume, shelf: Shelf) -> None:
        self.volume = volume
        self._shelf = shelf
        self._answers: dict[str, dict[str, Classification]] = {}

    def model(self, stage: Stage) -> Model:
        model = self._shelf.get(stage.package)
        if model is None:
            raise _Refusal(f"model package {stage.package} is not installed")
        if isinstance(model, BrokenPackage):
            raise _Refusal(f"model package {stage.package} is not usable: {model.reason}")
        card = model.package.card
        if stage.question not in card.questions:
            raise _Refusal(f"model package {stage.package} {card.version} does not answer {stage.question}")
        return model

    def classification(self, stage: Stage, model: Classifier) -> Classification:
        if stage.package not in self._answers:
            self._answers[stage.package] = model.answers(self.volume)
        return self._answers[stage.package][stage.question]


def _check_plane(card: Card, volume: Volume) -> None:
    plane = plane_of(volume)
    if card.planes and plane is not None and plane not in card.planes:
        raise _Refusal(f"{card.name} is made for {' or '.join(card.planes)} slices; these are {plane}")


def _classify(stage: Stage, asked: _Asked, model: Classifier) -> StageRun:
    answer = asked.classification(stage, model)
    if is_outside(answer, stage.question, model.package.card.operating_point.minimum_score):
        classes = ", ".join(model.package.card.questions[stage.question])
        raise _Refusal(f"outside the model's world: too little like any of {classes} (best score {answer.score:.2f})")
    return StageRun(stage.name, stage.task, Outcome.COMPLETE, algorithm=model.package.algorithm, classification=answer)


def _segment(stage: Stage, asked: _Asked, model: Segmenter) -> StageRun:
    card, volume = model.package.card, asked.volume
    _check_plane(card, volume)
    (name,) = card.questions[stage.question]
    found = lesions(volume, model.scores(volume), name, card.operating_point)
    return StageRun(stage.name, stage.task, Outcome.COMPLETE, algorithm=model.package.algorithm, segments=found)


def _answer(stage: Stage, asked: _Asked) -> StageRun:
    model = asked.model(stage)
    match stage.task, model:
        case Task.CLASSIFICATION, Classifier():
            return _classify(stage, asked, model)
        case Task.SEGMENTATION, Segmenter():
            return _segment(stage, asked, model)
    raise _Refusal(f"model package {stage.package} does {model.package.card.task}, the stage asks for {stage.task}")


def _run_stage(stage: Stage, asked: _Asked) -> StageRun:
    """The stage's answer, its refusal, or how it broke."""
    started = time.monotonic()
    try:
        run = _answer(stage, asked)
    except _Refusal as refusal:
        return StageRun(stage.name, stage.task, Outcome.NOT_ATTEMPTED, reason=str(refusal))
    except (RuntimeError, ValueError, MemoryError) as error:  # what torch and numpy raise; the other stages go on
        reason = f"the model stopped with {type(error).__name__}"
        return StageRun(stage.name, stage.task, Outcome.FAILED, reason=reason, seconds=time.monotonic() - started)
    return replace(run, seconds=time.monotonic() - started)


def run_cascade(volume: Volume, stages: Sequence[Stage], shelf: Shelf) -> tuple[StageRun, ...]:
    """Every stage whose conditions the answers so far meet, in the table's order."""
    asked, answers, runs = _Asked(volume, shelf), dict[str, str](), []
    for stage in stages:
        if any(answers.get(earlier) != label for earlier, label in stage.when.items()):
            continue
        run = _run_stage(stage, asked)
        runs.append(run)
        if run.classification is not None:
            answers[stage.name] = run.classification.label
    return tuple(runs)
