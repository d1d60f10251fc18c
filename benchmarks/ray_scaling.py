"""Forward passes a second with two replicas beside one: `python -m benchmarks.ray_scaling [--rounds N] [--json FILE]`.

One cluster on this machine serves the shipped segmentation package by one replica, and under another name by two: a
core and a thread each. Each is asked over the node's own way (process, object store, choice of the less busy), by four
callers at a time, as by several studies; and by one study of 64 slices, whose requests go side by side where there are
two. Beside that the same network in one process and in two, one thread each, without Ray: more than these gain no
second replica can. A pass is eight slices of 256 x 256.

All share this machine: while two replicas have two cores, Ray and the node that asks take their time from them. On
machines of their own they would not. A case takes some seconds, all together two minutes; on a machine that is busy
with other work fewer rounds are made, and the ratio to what two cores gain without Ray says more than the others.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import cast

import numpy as np
import torch

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.analysis_settings import SHIPPED_MODELS
from dicom_node.engine import build_engine
from dicom_node.ray_process import CONNECTS_WITHIN_S, RayProcess
from dicom_node.settings import Settings, load_settings
from inference.cards import CARD_FILE
from inference.compiled import kept_name
from inference.models import Segmenter
from inference.registry import Package
from inference.remote import Answer, lent
from tests.builders.command import write_config
from tests.builders.packages import volume_of
from tests.builders.ray_cluster import ray_cluster, serving_replicas

_PACKAGE = "brain-tumour-res50-unet"
_BARE, _STUDIES, _STUDY = "without Ray", "several studies", "one study"
#: Of each case in each round.
_SECONDS = 2.5
#: From the start on; then no further round begins.
_AT_MOST_S = 100.0
_CALLERS = 4
_SLICES, _PASSES = 64, 8
_PICTURES = np.random.default_rng(1).normal(0, 1, (8, 1, 256, 256)).astype(np.float32)
_VOLUME = volume_of(np.random.default_rng(2).normal(300, 90, (_SLICES, 256, 256)))


@dataclass(frozen=True, slots=True)
class _Served:
    """The package under a name of its own, by so many replicas."""

    replicas: int
    config: Path
    settings: Settings
    model: Segmenter

    @property
    def digest(self) -> str:
        """Of its card."""
        return self.model.package.digest


def _configured(folder: Path, address: str, replicas: int) -> tuple[Path, Settings]:
    name = f"of-{replicas}"
    package = copytree(SHIPPED_MODELS / _PACKAGE, folder / name / "models" / name)
    card = json.loads((package / CARD_FILE).read_text(encoding="utf-8"))
    (package / CARD_FILE).write_text(json.dumps(card | {"name": name}), encoding="utf-8")
    stage = f"{{name: tumour, task: segmentation, package: {name}, question: brain_tumour}}"
    (folder / name / "cascade.yaml").write_text(f"stages: [{stage}]\n", encoding="utf-8")
    config, _ = write_config(folder / name, 4242)
    (folder / name / "var").mkdir()
    with config.open("a", encoding="utf-8") as file:
        file.write("models: {folder: models, cascade: cascade.yaml}\n")
        file.write(f"runtime: {{address: '{address}', threads: 1, replicas: {{count: {replicas}}}}}\n")
    return config, load_settings(config, {})


def _served(folder: Path, address: str) -> list[_Served]:
    """By one and by two; converted once, since both have the same network."""
    found: list[_Served] = []
    for replicas in (1, 2):
        config, settings = _configured(folder, address, replicas)
        if not found:
            found.append(_Served(replicas, config, settings, _model(config)))
            continue
        first = found[0]
        package = settings.library.packages()[f"of-{replicas}"]
        assert isinstance(package, Package)
        kept = first.settings.compiled_networks / kept_name(first.model.package.card)
        copytree(kept, settings.compiled_networks / kept_name(package.card))
        found.append(_Served(replicas, config, settings, Segmenter(package, first.model.network)))
    return found


def _model(config: Path) -> Segmenter:
    """Of the configuration's only package, on one thread."""
    [model] = build_engine(load_settings(config, {})).shelf.values()
    assert isinstance(model, Segmenter)
    return model


def _again_and_again(once: Callable[[], object]) -> list[float]:
    """When each pass was done, until one was after the time."""
    started, done = time.monotonic(), list[float]()
    while not done or done[-1] < started + _SECONDS:
        once()
        done.append(time.monotonic())
    return done


def _rate(callers: Executor, count: int, call: Callable[[], list[float]]) -> float:
    """Passes a second of so many callers, while all of them were at it."""
    started = time.monotonic()
    each = [callers.submit(call) for _ in range(count)]
    done = [moment for some in each for moment in some.result()]
    return sum(moment <= started + _SECONDS for moment in done) / _SECONDS


class _Local:
    """In a process of its own: the network, made ready once."""

    model: Segmenter

    @classmethod
    def prepare(cls, config: Path) -> None:
        """At the start of the process."""
        cls.model = _model(config)

    @classmethod
    def call(cls) -> list[float]:
        """Ask it for some seconds."""
        pictures = torch.from_numpy(_PICTURES).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return _again_and_again(lambda: cls.model.network(pictures))


def _studies(process: RayProcess, served: _Served) -> Callable[[], float]:
    def passes_a_second() -> float:
        with ThreadPoolExecutor(_CALLERS) as callers:
            return _rate(callers, _CALLERS, lambda: _again_and_again(lambda: process.ask(served.digest, _PICTURES)))

    return passes_a_second


def _study(process: RayProcess, served: _Served) -> Callable[[], float]:
    def ask(digest: str, pictures: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Answer:
        return cast("Answer", process.ask(digest, pictures))

    [model] = lent({"": served.model}, ask, lambda _: served.replicas).values()

    def passes_a_second() -> float:
        started = time.monotonic()
        done = _again_and_again(lambda: cast("Segmenter", model).scores(_VOLUME))
        return _PASSES * len(done) / (done[-1] - started)

    return passes_a_second


def _bare(pool: Executor, count: int) -> Callable[[], float]:
    return lambda: _rate(pool, count, _Local.call)


def _cases(stack: ExitStack) -> Iterator[tuple[str, Callable[[], float]]]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    cluster = stack.enter_context(ray_cluster())
    cluster.start_head(cpus=3)
    both = _served(folder, cluster.address)
    with ThreadPoolExecutor(len(both)) as starting:
        list(starting.map(stack.enter_context, [serving_replicas(served.config) for served in both]))
    process = RayProcess(cluster.address, 120)
    stack.callback(process.stop)
    process.offer(CONNECTS_WITHIN_S)
    spawn = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(2, spawn, _Local.prepare, (both[0].config,)))
    _rate(pool, 2, _Local.call)  # both processes are made ready by that, and the replicas by what follows
    for served in both:
        _studies(process, served)()
    for served in both:
        yield f"{_BARE}, {served.replicas}", _bare(pool, served.replicas)
        yield f"{_STUDIES}, {served.replicas}", _studies(process, served)
        yield f"{_STUDY}, {served.replicas}", _study(process, served)


def _ratios(medians: dict[str, float]) -> Iterable[Ratio]:
    gains = {what: medians[f"{what}, 2"] / medians[f"{what}, 1"] for what in (_STUDIES, _STUDY, _BARE)}
    yield Ratio(f"2 replicas / 1, {_STUDIES}", gains[_STUDIES])
    yield Ratio(f"2 replicas / 1, {_STUDY}", gains[_STUDY])
    yield Ratio(f"2 processes / 1, {_BARE}", gains[_BARE])
    yield Ratio(f"gain of a replica / of a process, {_STUDIES}", gains[_STUDIES] / gains[_BARE])
    yield Ratio("1 replica / 1 process without Ray", medians[f"{_STUDIES}, 1"] / medians[f"{_BARE}, 1"])


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    wanted, on = options(__doc__, rounds=4).parse_args(), machine()
    until = time.monotonic() + _AT_MOST_S
    with ExitStack() as stack:
        cases = dict(_cases(stack))
        rounds = [in_rounds(cases, 1)]
        while len(rounds) < wanted.rounds and time.monotonic() < until:
            rounds.append(in_rounds(cases, 1))
    figures = {name: Figure(tuple(value for each in rounds for value in each[name].values)) for name in cases}
    ratios = _ratios({name: figure.median for name, figure in figures.items()})
    report("ray_scaling", "passes/s", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
