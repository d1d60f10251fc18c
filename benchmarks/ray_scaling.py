"""Forward passes a second on a Ray cluster: `python -m benchmarks.ray_scaling [--rounds N] [--json FILE]`.

One cluster on this machine serves the shipped segmentation package by one replica, and under another name by two; one
core each. Four callers at a time ask each of them, as four studies would, over the node's own way: process, object
store, choice of the less busy. Beside that, the same network in this process on one thread, asked by one caller, as a
node does by itself. A pass is eight slices of 256 x 256.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree

import numpy as np
import torch

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from dicom_node.analysis_settings import SHIPPED_MODELS
from dicom_node.engine import build_engine
from dicom_node.ray_process import CONNECTS_WITHIN_S, RayProcess
from dicom_node.settings import Settings, load_settings
from inference.cards import CARD_FILE
from tests.builders.command import write_config
from tests.builders.ray_cluster import ray_cluster, serving_replicas

_PACKAGE = "brain-tumour-res50-unet"
_LOCAL, _ONE, _TWO = "this process, 1 thread", "Ray, 1 replica", "Ray, 2 replicas"
_CALLERS = 4
_PASSES = 8
_PICTURES = np.random.default_rng(1).normal(0, 1, (8, 1, 256, 256)).astype(np.float32)


def _configured(folder: Path, address: str, replicas: int) -> tuple[Path, Settings]:
    """The shipped package under a name of its own, in a configuration of its own."""
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


def _remote(process: RayProcess, digest: str) -> Callable[[], float]:
    def passes_a_second() -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(_CALLERS) as callers:
            list(callers.map(lambda _: process.ask(digest, _PICTURES), range(_PASSES)))
        return _PASSES / (time.perf_counter() - started)

    return passes_a_second


def _local(settings: Settings) -> tuple[Callable[[], float], str]:
    """And the digest of the package."""
    [model] = build_engine(settings).shelf.values()
    pictures = torch.from_numpy(_PICTURES).contiguous(memory_format=torch.channels_last)

    def passes_a_second() -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            for _ in range(_PASSES):
                model.network(pictures)  # type: ignore[union-attr]  # the shipped package is whole
        return _PASSES / (time.perf_counter() - started)

    return passes_a_second, model.package.digest  # type: ignore[union-attr]


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    wanted, on = options(__doc__, rounds=5).parse_args(), machine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(ray_cluster())
        cluster.start_head(cpus=3)
        configured = {name: _configured(folder, cluster.address, n) for name, n in ((_ONE, 1), (_TWO, 2))}
        here = {name: _local(settings) for name, (_, settings) in configured.items()}
        for config, _ in configured.values():
            stack.enter_context(serving_replicas(config))
        process = RayProcess(cluster.address, 120)
        stack.callback(process.stop)
        process.offer(CONNECTS_WITHIN_S)
        cases = {_LOCAL: here[_ONE][0], **{name: _remote(process, digest) for name, (_, digest) in here.items()}}
        for warm_up in cases.values():
            warm_up()
        figures = in_rounds(cases, wanted.rounds)
    ratios = [
        Ratio("2 replicas over 1", figures[_TWO].median / figures[_ONE].median),
        Ratio("1 replica over this process", figures[_ONE].median / figures[_LOCAL].median),
    ]
    report("ray_scaling", "passes/s", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
