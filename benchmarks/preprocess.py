"""From a file to what a network takes: `python -m benchmarks.preprocess [--rounds N] [--json FILE]`, on one thread.

The node's way (reading, decoding, stacking, windowing, resizing, with all that guards it) beside the one that anybody
would write with pydicom and Pillow: dcmread, pixel_array, apply_modality_lut, apply_voi_lut, to 0..255, resize. Both
are given the files of one series; told is the time of one image.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEGLSLossless

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from dicom_node.reader import LoadSettings, load_study
from inference import phantoms
from inference.cards import Preparation
from inference.transforms import prepare
from tests.builders.datasets import ct_series, mr_series, radiograph

_GOAL = 4.0
_OURS, _PLAIN = "node", "pydicom and Pillow"


@dataclass(frozen=True, slots=True)
class _Case:
    """A series in files, and the side of the square it becomes."""

    paths: tuple[Path, ...]
    study_instance_uid: str
    size: int

    def ours(self) -> None:
        """As the node does it."""
        preparation = Preparation(size=self.size, use_window=True)
        for volume in load_study(self.study_instance_uid, self.paths, LoadSettings()).volumes:
            prepare(volume.pixels, volume.window, preparation)

    def plain(self) -> None:
        """As anybody would write it."""
        for path in self.paths:
            dataset = dcmread(path)
            values = apply_modality_lut(dataset.pixel_array, dataset)
            values = np.asarray(apply_voi_lut(values, dataset), np.float64)
            grey = ((values - values.min()) / (values.max() - values.min()) * 255).astype(np.uint8)
            square = Image.fromarray(grey).resize((self.size, self.size), Image.Resampling.BILINEAR)
            torch.from_numpy(np.asarray(square, np.float32) / 255)


def _stored(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    return values.clip(0, 4095).astype(np.uint16)


def _ct() -> list[Dataset]:
    drawn = phantoms.abdomen_ct(np.random.default_rng(1), (12, 512, 512)).pixels
    return ct_series((12, 512, 512), pixels=_stored(drawn + 1024), WindowCenter="40", WindowWidth="400")


def _mr() -> list[Dataset]:
    drawn = phantoms.knee_mr(np.random.default_rng(2), (24, 256, 256)).pixels
    return mr_series((24, 256, 256), pixels=_stored(drawn))


def _cr() -> list[Dataset]:
    drawn = phantoms.hand_radiograph(np.random.default_rng(3)).pixels[0]
    scaled = drawn / drawn.max() * 4000
    enlarged = np.asarray(Image.fromarray(scaled).resize((2500, 3000), Image.Resampling.BICUBIC))
    noisy = enlarged + np.random.default_rng(4).normal(0, 8, enlarged.shape)
    return [radiograph((3000, 2500), pixels=_stored(noisy), WindowCenter="2000", WindowWidth="3600")]


def _in_files(folder: Path, datasets: Sequence[Dataset], size: int, *, compressed: bool = False) -> _Case:
    folder.mkdir()
    paths = tuple(folder / f"{number}.dcm" for number in range(len(datasets)))
    for path, dataset in zip(paths, datasets, strict=True):
        if compressed:
            dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        dcmwrite(path, dataset, enforce_file_format=True)
    return _Case(paths, str(datasets[0].StudyInstanceUID), size)


def _milliseconds(way: Callable[[], None], images: int) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        way()
        return (time.perf_counter() - started) * 1000 / images

    return timed


def main() -> None:
    """Write the series, prepare them both ways, print."""
    wanted, on = options(__doc__, rounds=9).parse_args(), machine()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = {
            "CT 512 to 224": _in_files(folder / "ct", _ct(), 224),
            "MR 256 to 224": _in_files(folder / "mr", _mr(), 224),
            "CR 3000 x 2500 to 640": _in_files(folder / "cr", _cr(), 640),
            "CT 512 to 224, JPEG-LS": _in_files(folder / "ct-ls", _ct(), 224, compressed=True),
            "CR 3000 x 2500 to 640, JPEG-LS": _in_files(folder / "cr-ls", _cr(), 640, compressed=True),
        }
        ways: dict[str, Callable[[], float]] = {}
        for case, each in cases.items():
            ways[f"{case}: {_OURS}"] = _milliseconds(each.ours, len(each.paths))
            ways[f"{case}: {_PLAIN}"] = _milliseconds(each.plain, len(each.paths))
        figures = in_rounds(ways, wanted.rounds)
    ratios = [
        Ratio(case, figures[f"{case}: {_PLAIN}"].median / figures[f"{case}: {_OURS}"].median, _GOAL) for case in cases
    ]
    report("pre-processing", "ms per image", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
