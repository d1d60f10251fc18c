"""From files to what a network takes: `python -m benchmarks.preprocess [--rounds N] [--json FILE]`, on one thread.

Every way is given the files of the same series; told is the time of one image.

- node: `load_study`, as the worker calls it (headers, whose image it is, stacking by place, decoding, modality values),
  then `prepare`: the header's window, percentiles of the stack to 0..1, resize with the aspect kept, normalisation.
- node, two decoders: the same with a pool of two threads that decode, as the worker has one.
- node, headers too: as the first, and every header made usable as a whole, which results need and pixels do not.
- pydicom, same result: dcmread, pixel_array, apply_modality_lut, apply_voi_lut, numpy's percentiles of the stack to
  0..1, Pillow's resize with the aspect kept, normalisation. Before anything is timed its result is compared with the
  node's: they differ by less than a four-thousandth of the grey scale.
- pydicom, short: the same without percentiles, aspect and normalisation: each image by itself from its least to its
  greatest value, in 8 bits. It makes less of the files than the node does, and is told for comparison.

A decoder's own time is nobody's gain: of compressed series the ratios are told without a goal. The node decodes with
the decoder that survives broken streams, pydicom with the one that it finds first.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEGLSLossless
from torch import Tensor

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from dicom_node.reader import LoadSettings, load_study
from inference import phantoms
from inference.cards import Preparation
from inference.transforms import prepare
from tests.builders.datasets import ct_series, mr_series, radiograph

_GOAL = 4.0
_COMPRESSED = ", JPEG-LS"
_NODE, _POOL, _WHOLE = "node", "node, two decoders", "node, headers too"
_SAME, _SHORT = "pydicom, same result", "pydicom, short"
#: How far the results may lie apart in what the network takes, whose grey scale is 4 wide.
_APART = 1e-3


@dataclass(frozen=True, slots=True)
class _Case:
    """A series in files, and the side of the square it becomes."""

    paths: tuple[Path, ...]
    study_instance_uid: str
    size: int

    @property
    def _preparation(self) -> Preparation:
        return Preparation(size=self.size, use_window=True)

    def node(self, threads: int = 1) -> Tensor:
        """As the node does it: (image, 1, size, size)."""
        [volume] = load_study(self.study_instance_uid, self.paths, LoadSettings(threads=threads)).volumes
        return prepare(volume.pixels, volume.window, self._preparation)[0]

    def whole(self) -> None:
        """As the node does it where it makes results, too."""
        loaded = load_study(self.study_instance_uid, self.paths, LoadSettings())
        for volume in loaded.volumes:
            prepare(volume.pixels, volume.window, self._preparation)
        for header in loaded.headers.values():
            assert header.SOPInstanceUID in loaded.headers

    def same(self) -> Tensor:
        """As anybody would write it who wants the same: (image, 1, size, size)."""
        asked = self._preparation
        images = np.stack([_windowed(path) for path in self.paths])
        low, high = np.percentile(images, (asked.lower_percentile, asked.upper_percentile))
        unit = np.clip((images - low) / (high - low), 0, 1).astype(np.float32)
        squares = np.stack([_letterboxed(image, self.size) for image in unit])
        return (torch.from_numpy(squares)[:, None] - asked.mean) / asked.std

    def short(self) -> None:
        """As anybody would write it first."""
        for path in self.paths:
            values = _windowed(path)
            grey = ((values - values.min()) / (values.max() - values.min()) * 255).astype(np.uint8)
            square = Image.fromarray(grey).resize((self.size, self.size), Image.Resampling.BILINEAR)
            torch.from_numpy(np.asarray(square, np.float32) / 255)

    def ways(self) -> dict[str, Callable[[], object]]:
        """All that are compared, by name."""
        return {
            _NODE: self.node,
            _POOL: partial(self.node, threads=2),
            _WHOLE: self.whole,
            _SAME: self.same,
            _SHORT: self.short,
        }


def _windowed(path: Path) -> NDArray[np.float64]:
    dataset = dcmread(path)
    values = apply_modality_lut(dataset.pixel_array, dataset)
    return np.asarray(apply_voi_lut(values, dataset), np.float64)


def _letterboxed(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    rows, columns = (round(side * size / max(image.shape)) for side in image.shape)
    square = np.zeros((size, size), np.float32)
    top, left = (size - rows) // 2, (size - columns) // 2
    scaled = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
    square[top : top + rows, left : left + columns] = scaled
    return square


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


def _milliseconds(way: Callable[[], object], images: int) -> Callable[[], float]:
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
            f"CT 512 to 224{_COMPRESSED}": _in_files(folder / "ct-ls", _ct(), 224, compressed=True),
            f"CR 3000 x 2500 to 640{_COMPRESSED}": _in_files(folder / "cr-ls", _cr(), 640, compressed=True),
        }
        ways: dict[str, Callable[[], float]] = {}
        for case, each in cases.items():
            apart = float((each.node() - each.same()).abs().max())
            if apart > _APART:
                raise SystemExit(f"{case}: the results differ by {apart:.3g}; there is nothing to compare")
            for kind, way in each.ways().items():
                ways[f"{case}: {kind}"] = _milliseconds(way, len(each.paths))
        figures = in_rounds(ways, wanted.rounds)
    ratios = [
        Ratio(
            f"{case}: {plain} / {node}",
            figures[f"{case}: {plain}"].median / figures[f"{case}: {node}"].median,
            _GOAL if (plain, node) == (_SAME, _NODE) and not case.endswith(_COMPRESSED) else None,
        )
        for case in cases
        for plain, node in ((_SAME, _NODE), (_SAME, _POOL), (_SAME, _WHOLE), (_SHORT, _NODE))
    ]
    report("pre-processing", "ms per image", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
