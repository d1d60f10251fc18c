"""What an idle worker does: it looks at studies that are still arriving, so that less is left when they settle.

A series is read and asked about as in an analysis, and what networks answer is remembered (inference/remembering.py);
the findings are thrown away. The analysis of the settled study reads it anew and asks as if nobody had looked before:
what is asked just so a second time has its answer at once. Nothing durable comes of looking, nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dicom_node.domain.study import Instance, InstanceKind, SeriesArriving
from dicom_node.foresight import Look, Looked, NothingYet, after, next_look
from dicom_node.pipeline import Engine
from dicom_node.reader import load_study
from inference.cascade import run_cascade
from inference.findings import Task
from inference.models import remembering, whole_batches
from inference.quality import judge
from inference.registry import BrokenPackage
from inference.remembering import Interrupted, Memory
from inference.stages import Stage

#: Of answers that are remembered: those to a thousand slices of 256 x 256 pixels.
MEMORY_BYTES = 256 << 20


class ArrivingStore(Protocol):
    """What is arriving, and what waits."""

    def series_arriving(self) -> Sequence[SeriesArriving]:
        """The series of studies that are not settled, the most urgent first."""

    def is_claimable(self) -> bool:
        """Whether a settled study waits for a worker."""

    def instances(self, study_instance_uid: str) -> Sequence[Instance]:
        """Everything received for a study."""


class WorkingAhead:
    """Looks at one series at a time; `engine` is the one given, and finds the answers ready."""

    def __init__(
        self, store: ArrivingStore, engine: Engine, clock: Callable[[], float], memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.memory = Memory(memory_bytes)
        self.engine = replace(engine, shelf=remembering(engine.shelf, self.memory))
        self._store = store
        self._clock = clock
        self._reading = replace(engine.load, tells=False)
        self._of_parts = engine.cascade.model_copy(update={"stages": _slice_by_slice(engine)})
        models = [model for model in engine.shelf.values() if not isinstance(model, BrokenPackage)]
        self._at_once = max((model.at_once for model in models), default=1)
        self._looked: dict[str, Looked] = {}

    def look(self, is_told: Callable[[], bool]) -> float | None:
        """Look at what is due, if anything is; for how long there is nothing to do then, None: until something comes.

        It stops in mid-series when `is_told` and there is a settled study.
        """
        arriving = self._store.series_arriving()
        if self._store.is_claimable():  # also one that has settled just now, and needs what is remembered
            return None
        self._forget_all_but(arriving)
        due = next_look(arriving, self._looked, slice_by_slice=self._asks_of_parts, now=self._clock())
        if isinstance(due, NothingYet):
            return due.wait_s
        series = due.series.series_instance_uid
        before = self._looked.get(series, Looked())
        self._looked[series] = after(due, before)  # before it is read: what cannot be is not tried again and again
        try:
            with self.memory.ahead(
                due.series.study_instance_uid, lambda: not (is_told() and self._store.is_claimable())
            ):
                self._look_at(due)
        except Interrupted:
            self._looked[series] = before
        return 0.0

    @property
    def _asks_of_parts(self) -> bool:
        return any(stage.task is not Task.CLASSIFICATION for stage in self._of_parts.stages)

    def _forget_all_but(self, arriving: Sequence[SeriesArriving]) -> None:
        """What has settled was analysed by now, or is another worker's; what was removed is nobody's."""
        self.memory.forget_all_but({each.study_instance_uid for each in arriving})
        present = {each.series_instance_uid for each in arriving}
        self._looked = {series: looked for series, looked in self._looked.items() if series in present}

    def _look_at(self, look: Look) -> None:
        study, cascade = look.series.study_instance_uid, self._of_parts if look.is_part else self.engine.cascade
        for volume in load_study(study, self._paths(look.series), self._reading).volumes:
            known = whole_batches(volume, self._at_once) if look.is_part else volume
            if known is not None:
                run_cascade(known, cascade, self.engine.shelf, judge(known))

    def _paths(self, series: SeriesArriving) -> list[Path]:
        return [
            each.path
            for each in self._store.instances(series.study_instance_uid)
            if each.series_instance_uid == series.series_instance_uid and each.kind is InstanceKind.IMAGE
        ]


def _slice_by_slice(engine: Engine) -> tuple[Stage, ...]:
    """The stages that can be asked about a part of a stack: those of packages with a window of their own, which scale a
    slice as its stack is scaled; and the classifications on the way there."""

    def looks_so(stage: Stage) -> bool:
        model = engine.shelf.get(stage.package)
        if model is None or isinstance(model, BrokenPackage):
            return False
        return model.package.card.preparation.window is not None

    return tuple(stage for stage in engine.cascade.stages if stage.task is Task.CLASSIFICATION or looks_so(stage))
