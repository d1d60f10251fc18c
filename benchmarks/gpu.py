"""What is left of a GPU's own rate from files to findings and result objects:
`python -m benchmarks.gpu [--studies N] [--slices N] [--workers N] [--rounds N] [--json FILE]`.

Generated brain studies are analysed with the shipped packages by as many workers at once as the node has in the one
process of a GPU, whose forward passes they share. The achievable is what the same pictures take in captured passes
of the largest size, one network after the other, over pictures that lie on the GPU already. `--device cpu` goes the
same way on a machine without a GPU, and says nothing about one.
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.contestants import Contestant, Step, running
from benchmarks.fairness import stacked, studies
from benchmarks.inference import Forward, Network, PassAlone
from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from dicom_node.analysis_settings import SHIPPED_MODELS
from inference.compiled import Compiling
from inference.gpu import SIZES
from inference.registry import Package, installed

_END_TO_END = 0.6
_NODE = "studies, from files"


@dataclass(frozen=True, slots=True)
class FromFiles:
    """The studies in `folder`, a folder each; counts studies. It leaves counts.json: pictures by package."""

    folder: Path
    config: Path
    workers: int

    def steps(self) -> Sequence[Step]:
        """One: all of them."""
        from dicom_node.engine import build_engine  # noqa: PLC0415  # torch is the contestant's
        from dicom_node.pipeline import analyse_study  # noqa: PLC0415
        from dicom_node.settings import load_settings  # noqa: PLC0415
        from dicom_node.side_by_side import COMPANY_S  # noqa: PLC0415
        from inference.batching import batched  # noqa: PLC0415
        from inference.registry import BrokenPackage  # noqa: PLC0415

        engine, asked = build_engine(load_settings(self.config, {})), Counter[str]()
        whole = {name: each for name, each in engine.shelf.items() if not isinstance(each, BrokenPackage)}
        counted = {name: type(each)(each.package, _Counted(each.network, name, asked)) for name, each in whole.items()}
        shared = replace(engine, shelf=batched(engine.shelf, self.workers, COMPANY_S))
        found, now = sorted(self.folder.iterdir()), datetime.datetime.now().astimezone()
        for study in found:
            analyse_study(study.name, sorted(study.iterdir()), replace(engine, shelf=counted), now)
        self.config.with_name("counts.json").write_text(json.dumps(asked))

        def analyse(study: Path) -> None:
            analyse_study(study.name, sorted(study.iterdir()), shared, now)

        def run() -> float:
            with ThreadPoolExecutor(self.workers) as threads:
                return float(len(list(threads.map(analyse, found))))

        return (run,)


@dataclass(slots=True)
class _Counted:
    """A network, and how many pictures it was asked about."""

    network: Any
    name: str
    asked: Counter[str]

    def __call__(self, pictures: Tensor) -> object:
        self.asked[self.name] += len(pictures)
        return self.network(pictures)

    @property
    def at_once(self) -> int:
        return int(getattr(self.network, "at_once", SIZES[-1]))


def _written(folder: Path, count: int, slices: int) -> None:
    for seed in range(count):
        [images] = studies("brain MR", seed)
        study = folder / str(images[0].StudyInstanceUID)
        study.mkdir(parents=True)
        for number, image in enumerate(stacked(images, slices)):
            image.save_as(study / f"{number:05d}.dcm", enforce_file_format=True)


def _config(folder: Path, device: str) -> Path:
    file = folder / "node.yaml"
    (folder / "var").mkdir()
    file.write_text(
        "node: {ae_title: AINODE, storage: ./var}\npeers:\n  PACS: {ae_title: PACS, host: 127.0.0.1, port: 104}\n"
        f"receive: {{from: [PACS]}}\ndeliver: {{to: [PACS]}}\nruntime: {{device: {device}}}\n",
        encoding="utf-8",
    )
    return file


def _alone(device: str, threads: int) -> Mapping[str, Contestant]:
    """Each package's passes of the largest size; counts pictures."""
    whole = {name: each for name, each in installed(SHIPPED_MODELS).items() if isinstance(each, Package)}
    networks = {name: Network(name, package, SIZES[-1], 1.0) for name, package in whole.items()}
    if device == "cuda":
        return {name: PassAlone(network) for name, network in networks.items()}
    return {name: Forward(network, threads, Compiling()) for name, network in networks.items()}


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--studies", type=int, default=16, help="analysed in each turn; left out: 16")
    parser.add_argument("--slices", type=int, default=96, help="of each study; left out: 96")
    parser.add_argument("--workers", type=int, default=4, help="studies at once; left out: 4")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each case runs in a round; left out: 3")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    wanted, on = parser.parse_args(), machine()
    if wanted.device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("torch finds no GPU here, so that there is nothing to measure (--device cpu tries the way alone)")
        on |= {"GPU": torch.cuda.get_device_name()}
    with tempfile.TemporaryDirectory(prefix="dicom-node-gpu-") as scratch:
        folder = Path(scratch)
        _written(folder / "studies", wanted.studies, wanted.slices)
        from_files = FromFiles(folder / "studies", _config(folder, wanted.device), wanted.workers)
        alone = _alone(wanted.device, torch.get_num_threads())
        with running({_NODE: from_files, **alone}, wanted.seconds) as cases:
            figures = in_rounds(cases, wanted.rounds)
        counts = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
    least_s = sum(count / figures[name].median for name, count in counts.items()) / wanted.studies
    goal = _END_TO_END if wanted.device == "cuda" else None
    part = Ratio("part of the achievable, from files to result objects", figures[_NODE].median * least_s, goal)
    report("GPU", "studies or pictures/s", figures, [part], on=on | {"workers": wanted.workers}, file=wanted.json)


if __name__ == "__main__":
    main()
