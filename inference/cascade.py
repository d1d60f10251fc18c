"""The cascade: stages as a table, each ending in a StageRun with an answer or a reason."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.cards import Card
from inference.findings import Agreement, Algorithm, Classification, Outcome, QualityFlag, StageRun, Task
from inference.header import compare, stated_class
from inference.interpret import is_outside, lesions, plane_of, track
from inference.models import Classifier, Detector, Model, Segmenter
from inference.registry import BrokenPackage
from inference.stages import ANY, Cascade, Stage
from inference.volume import Volume

_LOGGER = logging.getLogger(__name__)

Shelf = Mapping[str, Model | BrokenPackage]
#: What a network, also one of an installed distribution's, breaks with; the other stages go on.
_BREAKS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _Refusal(Exception):  # not an error: a stage's answer that it cannot answer
    """Why a stage was not attempted, in words for a reader of the report; with the algorithm, if it ran."""

    def __init__(self, reason: str, algorithm: Algorithm | None = None) -> None:
        super().__init__(reason)
        self.algorithm = algorithm


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

    def algorithm(self, stage: Stage) -> Algorithm | None:
        """Of the stage's model, where there is one."""
        model = self._shelf.get(stage.package)
        return None if model is None or isinstance(model, BrokenPackage) else model.package.algorithm

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
        reason = f"outside the model's world: too little like any of {classes} (best score {answer.score:.2f})"
        raise _Refusal(reason, model.package.algorithm)
    header = None
    if stage.header is not None:
        header = compare(answer.label, model.package.card.questions[stage.question], stage.header, asked.volume)
    return StageRun(
        stage.name,
        stage.task,
        Outcome.COMPLETE,
        algorithm=model.package.algorithm,
        classification=answer,
        header=header,
    )


def _segment(stage: Stage, asked: _Asked, model: Segmenter) -> StageRun:
    card, volume = model.package.card, asked.volume
    _check_plane(card, volume)
    (name,) = card.questions[stage.question]
    found = lesions(volume, model.score_parts(volume), name, card.operating_point)
    return StageRun(stage.name, stage.task, Outcome.COMPLETE, algorithm=model.package.algorithm, segments=found)


def _detect(stage: Stage, asked: _Asked, model: Detector) -> StageRun:
    _check_plane(model.package.card, asked.volume)
    found = track(model.boxes(asked.volume))
    return StageRun(stage.name, stage.task, Outcome.COMPLETE, algorithm=model.package.algorithm, regions=found)


def _answer(stage: Stage, asked: _Asked) -> StageRun:
    model = asked.model(stage)
    match stage.task, model:
        case Task.CLASSIFICATION, Classifier():
            return _classify(stage, asked, model)
        case Task.SEGMENTATION, Segmenter():
            return _segment(stage, asked, model)
        case Task.DETECTION, Detector():
            return _detect(stage, asked, model)
    raise _Refusal(f"model package {stage.package} does {model.package.card.task}, the stage asks for {stage.task}")


def _run_stage(stage: Stage, asked: _Asked) -> StageRun:
    """The stage's answer, its refusal, or how it broke."""
    started = time.monotonic()
    try:
        run = _answer(stage, asked)
    except _Refusal as refusal:
        return replace(_refused(stage, str(refusal)), algorithm=refusal.algorithm)
    except _BREAKS as error:
        reason = f"the model stopped with {type(error).__name__}"
        place = traceback.extract_tb(error.__traceback__)[-1]  # without the message, which may quote pixels
        told = (stage.name, reason, Path(place.filename).name, place.lineno)
        _LOGGER.warning("Stage %s: %s at %s:%s", *told, extra={"action": "stage_broke"})
        run = StageRun(stage.name, stage.task, Outcome.FAILED, reason, asked.algorithm(stage))
    return replace(run, seconds=time.monotonic() - started)


def run_cascade(
    volume: Volume, cascade: Cascade, shelf: Shelf, quality: Sequence[QualityFlag] = ()
) -> tuple[StageRun, ...]:
    """Every stage whose conditions the answers so far meet, in the table's order, those in shadow among them.

    Pictures that their quality forbids to look at are refused by every stage that would begin with them.
    """
    defects = "; ".join(flag.text for flag in quality if flag.refused)
    if defects:
        first = (stage for stage in cascade.stages if not stage.when)
        return tuple(_refused(stage, f"the image quality forbids an answer: {defects}") for stage in first)
    asked, ways, runs = _Asked(volume, shelf), dict[str, _Way](), []
    for stage in cascade.stages:
        at = [ways.get(earlier, _Way()) for earlier in stage.when]
        if not all(way.leads_to(label) for way, label in zip(at, stage.when.values(), strict=True)):
            continue
        doubt = "; ".join(way.doubt for way in at if way.doubt)
        run = _refused(stage, doubt) if doubt else _run_stage(stage, asked)
        runs.append(run)
        ways[stage.name] = _way_on(run, stage, asked, cascade.prefer)
    return tuple(runs)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where an answer leads: to stages that wait for one of `labels`, which are refused if there is a `doubt`."""

    labels: frozenset[str] = frozenset()
    doubt: str = ""

    def leads_to(self, label: str) -> bool:
        return bool(self.labels) if label == ANY else label in self.labels


def _way_on(run: StageRun, stage: Stage, asked: _Asked, prefer: str) -> _Way:
    if run.classification is None:
        return _Way()
    label = run.classification.label
    disagrees = run.header is not None and run.header.agreement is Agreement.DISAGREES
    if stage.header is None or run.header is None or not disagrees or prefer == "pixels":
        return _Way(frozenset({label}))
    classes = [name for name, _ in run.classification.scores]
    stated = stated_class(classes, stage.header, asked.volume)
    if prefer == "header":
        return _Way(frozenset({stated} if stated else {label}))
    doubt = f"{stage.name}: the pixels say {label}, the header says {run.header.stated}"
    return _Way(frozenset(name for name in (label, stated) if name), doubt)


def _refused(stage: Stage, reason: str) -> StageRun:
    return StageRun(stage.name, stage.task, Outcome.NOT_ATTEMPTED, reason=reason)
