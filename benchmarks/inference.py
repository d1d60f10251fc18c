"""What the node's engine gains over plain torch: `python -m benchmarks.inference [--only NAME] [--json FILE]`.

Every shipped package's network and the paper's, each run by torch as it is (eager, float32) and as the node runs it, by
turns, in processes of their own; beside them the machine's own matrix product in the node's precision. `--device cuda`:
the node on a GPU, from memory to memory, against the forward pass alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import openvino
import torch
from openvino import opset13
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contestants import Contestant, Step, running
from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.analysis_settings import SHIPPED_MODELS
from inference.compiled import Answers, Compiling, Precision, chosen, compile_model
from inference.findings import Task
from inference.gpu import SIZES, captured, in_form, number_format
from inference.models import Model, load, own_network
from inference.registry import BrokenPackage, Package, installed, open_package
from tests.builders.packages import write_package

#: Of the machine's own matrix products, the part that a network should reach.
_OF_THE_MACHINE = 0.45
#: Of a GPU's forward passes alone, the part that is left from memory to memory.
_END_TO_END = 0.6
#: How many times torch's rate is promised, by pictures at once.
_GAINS: Mapping[Task, Mapping[int, float]] = {
    Task.CLASSIFICATION: {1: 5, 8: 8},
    Task.SEGMENTATION: {1: 6, 8: 6},
    Task.DETECTION: {1: 6, 8: 6},
}
_SIDES = (1024, 2048, 4096)
_TEN_TO_NINTH = 1e9


@dataclass(frozen=True, slots=True)
class Network:
    """A package with as many pictures at once. `gain`: how many times torch's rate is promised."""

    name: str
    package: Package
    batch: int
    gain: float

    @property
    def pictures(self) -> torch.Tensor:
        """(batch, channels, size, size) of noise."""
        preparation = self.package.card.preparation
        shape = self.batch, preparation.channels, preparation.size, preparation.size
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def flops(self) -> float:
        """Of one picture: two for each multiplication with its addition."""
        run = _ready(self.package, None).network
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            run(self.pictures[:1])
        return float(counter.get_total_flops())


@dataclass(frozen=True, slots=True)
class Forward:
    """A network's forward pass, in torch without `compiling`; counts pictures."""

    network: Network
    threads: int
    compiling: Compiling | None = None

    def steps(self) -> Sequence[Step]:
        """One: a batch from memory to memory."""
        torch.set_num_threads(self.threads)
        run, pictures = _ready(self.network.package, self.compiling).network, self.network.pictures
        return (partial(_passed, run, pictures),)


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """Square matrices of several sizes, by the library and in the precision of the node; counts operations."""

    threads: int
    precision: Precision

    def steps(self) -> Sequence[Step]:
        """One for each size."""
        torch.set_num_threads(self.threads)
        generator = np.random.default_rng(1)
        return [self._step(generator.standard_normal((2, side, side), np.float32)) for side in _SIDES]

    def _step(self, pair: np.ndarray) -> Step:
        given = opset13.parameter(pair[0].shape, np.float32)
        product = opset13.matmul(given, opset13.constant(pair[1]), transpose_a=False, transpose_b=True)
        request = compile_model(openvino.Model([product], [given]), self.precision).create_infer_request()
        work = float(2 * pair.shape[1] ** 3)

        def multiply() -> float:
            request.infer([pair[0]], share_inputs=True, share_outputs=True)
            return work

        return multiply


@dataclass(frozen=True, slots=True)
class PassAlone:
    """Captured passes of the largest size over pictures that lie on the GPU; counts pictures."""

    network: Network

    def steps(self) -> Sequence[Step]:
        """One: a pass, waited for."""
        form = number_format(Precision.AUTO, has_bfloat16=torch.cuda.is_bf16_supported(including_emulation=False))
        network = in_form(own_network(self.network.package), form)
        own = Answers(network).eval().to("cuda").to(memory_format=torch.channels_last)
        pictures = self.network.pictures[: SIZES[-1]].to("cuda", memory_format=torch.channels_last)

        def forward(given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with torch.inference_mode(), torch.autocast("cuda", form, cache_enabled=False):
                answer = own(given)
            return answer if isinstance(answer, tuple) else (answer,)

        replay = captured(pictures, forward)

        def run() -> float:
            replay()
            torch.cuda.synchronize()
            return float(len(pictures))

        return (run,)


def _passed(run: Callable[[torch.Tensor], object], pictures: torch.Tensor) -> float:
    with torch.inference_mode():
        run(pictures)
    return float(len(pictures))


def _ready(package: Package, compiling: Compiling | None) -> Model:
    model = load(package, compiling)
    if isinstance(model, BrokenPackage):
        raise SystemExit(f"{package.folder.name}: {model.reason}")
    return model


def _networks(folder: Path) -> Iterator[Network]:
    """The shipped ones at 1 and 8 pictures, and the paper's, whose weights mean nothing and lie in `folder`."""
    for name, package in installed(SHIPPED_MODELS).items():
        if isinstance(package, BrokenPackage):
            raise SystemExit(f"{name}: {package.reason}")
        for batch, gain in _GAINS[package.card.task].items():
            yield Network(f"{name} x {batch}", package, batch, gain)
    resnet = _of_size(write_package(folder / "ResNet50"), 224)
    unet = _of_size(write_package(folder / "Res50-U-Net", Task.SEGMENTATION), 256)
    detector = _of_size(write_package(folder / "YOLOv5-L", Task.DETECTION, architecture="yolov5l"), 640)
    for name, package in (("ResNet50", resnet), ("Res50-U-Net", unet), ("YOLOv5-L", detector)):
        for batch, gain in _GAINS[package.card.task].items():
            yield Network(f"{name} x {batch}", package, batch, gain)


def _of_size(folder: Path, size: int) -> Package:
    """A package of the tests with larger pictures."""
    package = open_package(folder)
    if isinstance(package, BrokenPackage):
        raise SystemExit(f"{folder.name}: {package.reason}")
    card = package.card
    return replace(
        package, card=card.model_copy(update={"preparation": card.preparation.model_copy(update={"size": size})})
    )


def _measured(network: Network, rounds: int, seconds: float, threads: int) -> tuple[dict[str, Figure], list[Ratio]]:
    """Of one network: its figures, and what they come to."""
    torch_name, node_name, product = (f"{network.name}, {what}" for what in ("torch", "node", "GFLOP/s of the machine"))
    contestants: dict[str, Contestant] = {
        torch_name: Forward(network, threads),
        node_name: Forward(network, threads, Compiling()),
        product: MatrixProduct(threads, Precision.AUTO),
    }
    with running(contestants, seconds) as cases:
        figures = in_rounds(cases, rounds)
    reached = figures[node_name].median * network.flops() / figures[product].median
    figures[product] = Figure(tuple(value / _TEN_TO_NINTH for value in figures[product].values))
    ratios = [
        Ratio(f"{network.name}, node to torch", figures[node_name].median / figures[torch_name].median, network.gain),
        Ratio(f"{network.name}, part of the machine's {chosen(Precision.AUTO)} products", reached, _OF_THE_MACHINE),
    ]
    return figures, ratios


def _measured_on_gpu(
    network: Network, rounds: int, seconds: float, threads: int
) -> tuple[dict[str, Figure], list[Ratio]]:
    """Of one network: from memory to memory, against the pass alone over what is on the GPU already."""
    wide = replace(network, batch=network.batch * SIZES[-1])
    node_name, alone = f"{network.name} x {SIZES[-1]}, node", f"{network.name} x {SIZES[-1]}, forward pass alone"
    contestants: dict[str, Contestant] = {
        node_name: Forward(wide, threads, Compiling(on_gpu=True)),
        alone: PassAlone(wide),
    }
    with running(contestants, seconds) as cases:
        figures = in_rounds(cases, rounds)
    part = figures[node_name].median / figures[alone].median
    return figures, [Ratio(f"{network.name} x {SIZES[-1]}, part of the forward pass alone", part, _END_TO_END)]


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--only", default="", help="networks whose names begin so")
    parser.add_argument("--seconds", type=float, default=1.5, help="that each case runs in a round; left out: 1.5")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of each case; left out: 2")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: what is left of a GPU's own rate"
    )
    wanted, on = parser.parse_args(), machine()
    measured = _measured
    if wanted.device == "cuda":
        if not torch.cuda.is_available():
            raise SystemExit("torch finds no GPU here")
        measured, on = _measured_on_gpu, on | {"GPU": torch.cuda.get_device_name()}
    figures, ratios = dict[str, Figure](), list[Ratio]()
    with tempfile.TemporaryDirectory() as folder:
        for network in _networks(Path(folder)):
            if network.name.startswith(wanted.only):
                found, told = measured(network, wanted.rounds, wanted.seconds, wanted.threads)
                figures |= found
                ratios += told
    report("inference", "pictures/s", figures, ratios, on=on | {"threads": wanted.threads}, file=wanted.json)


if __name__ == "__main__":
    main()
