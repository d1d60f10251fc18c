"""What the largest studies take in memory beyond the models:
`python -m benchmarks.memory [--slices N] [--frames N] [--outlined N] [--side N] [--rounds N] [--json FILE]`.

A CT of 3,000 slices, an ultrasound of 1,000 colour frames, compressed and not, and an MR of 3,000 slices of a brain
with a tumour on most of them, which is boxed and outlined, go through the whole analysis with the shipped packages,
each in a process of its own: reading, quality, cascade, result objects. Told is the most that the process held from
then on, less what it held with the models ready. It needs 5 GB of disk. A number of 0 leaves a case out.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import yaml
from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from inference import phantoms
from inference.findings import StageRun
from tests.builders.datasets import colour_ultrasound, ct_series, mr_series
from tests.builders.network import HOST

_GOAL_GB = 2.0
#: Pictures that differ; the others of a study repeat them.
_DIFFERENT = 4
_CT, _FRAME = (512, 512), (480, 640)
#: On most slices of a brain, axes (slice, row, column).
_TUMOUR = phantoms.Ellipsoid((0.0, 0.1, -0.3), (0.9, 0.16, 0.13))


def _write_ct(folder: Path, slices: int) -> None:
    """One series of 16-bit slices."""
    drawn = phantoms.abdomen_ct(np.random.default_rng(1), (_DIFFERENT, *_CT)).pixels
    stored = (drawn + 1024).clip(0, 4095).astype("<u2")
    for number, dataset in enumerate(ct_series((slices, *_CT), spacing=(0.5, 0.7, 0.7))):
        dataset.PixelData = stored[number % _DIFFERENT].tobytes()
        dataset["PixelData"].VR = "OW"
        dcmwrite(folder / f"{number}.dcm", dataset, enforce_file_format=True)


def _frames() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    drawn = (phantoms.colour_ultrasound(np.random.default_rng(n), _FRAME).pixels[0] for n in range(_DIFFERENT))
    return [each.clip(0, 255).astype(np.uint8) for each in drawn]


def _ultrasound(frames: int) -> Dataset:
    different = [each.tobytes() for each in _frames()]
    dataset = colour_ultrasound(_FRAME, NumberOfFrames=frames)
    dataset.PixelData = b"".join(different[number % _DIFFERENT] for number in range(frames))
    dataset["PixelData"].VR = "OB"
    return dataset


def _write_ultrasound(folder: Path, frames: int) -> None:
    """One object of 8-bit colour frames."""
    dcmwrite(folder / "us.dcm", _ultrasound(frames), enforce_file_format=True)


def _write_compressed_ultrasound(folder: Path, frames: int) -> None:
    """The same in JPEG-LS."""
    dataset = _ultrasound(_DIFFERENT)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    different = list(generate_frames(dataset.PixelData, number_of_frames=_DIFFERENT))
    dataset.NumberOfFrames = frames
    dataset.PixelData = encapsulate([different[number % _DIFFERENT] for number in range(frames)])
    dcmwrite(folder / "us.dcm", dataset, enforce_file_format=True)


def _write_mr(folder: Path, slices: int, side: int) -> None:
    """One series of 16-bit slices through a brain with a tumour, each of some slices drawn many times in a row."""
    drawn = phantoms.brain_mr(np.random.default_rng(1), (24, side, side), _TUMOUR).pixels
    stored = (drawn * 4).astype("<u2")
    field_mm = 230.0
    for number, dataset in enumerate(
        mr_series((slices, side, side), spacing=(160.0 / slices, field_mm / side, field_mm / side))
    ):
        dataset.PixelData = stored[number * len(stored) // slices].tobytes()
        dataset["PixelData"].VR = "OW"
        dcmwrite(folder / f"{number}.dcm", dataset, enforce_file_format=True)


def _settings(folder: Path) -> Path:
    """A node whose storage is in the folder."""
    file = folder / "node.yaml"
    (folder / "node").mkdir()
    told = {
        "node": {"ae_title": "AINODE", "host": HOST, "storage": "./node"},
        "peers": {"PACS": {"ae_title": "PACS", "host": HOST, "port": 104}},
        "receive": {"from": ["PACS"]},
        "deliver": {"to": ["PACS"]},
    }
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return file


def _analyse(images: Path, config: Path, to_parent: Connection) -> None:
    """The child: models, then the study; the peak in GB above the first, seconds, volumes, result objects."""
    from dicom_node.engine import build_engine  # noqa: PLC0415  # torch is the child's
    from dicom_node.pipeline import analyse_study  # noqa: PLC0415
    from dicom_node.settings import load_settings  # noqa: PLC0415

    engine = build_engine(load_settings(config, {}))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here (proc(5))
    before = _gigabytes("VmRSS")
    paths = sorted(images.iterdir())
    started = datetime.datetime.now(datetime.UTC)
    study = str(_uid_of(paths[0]))
    analysed = analyse_study(study, paths, engine, started)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    slices = sum(volume.shape[0] for volume in analysed.loaded.volumes)
    runs = [run for volume in analysed.analysis.volumes for run in volume.runs]
    told = f"{slices} slices in {seconds:.0f} s: {', '.join(map(_answer, runs))}; {len(analysed.objects)} objects"
    to_parent.send((_gigabytes("VmHWM") - before, told))


def _answer(run: StageRun) -> str:
    if run.classification is not None:
        return run.classification.label
    found = [f"outlined on {len(each.mask.patches)}" for each in run.segments]
    return " and ".join(found) or f"{len(run.regions)} boxed"


def _uid_of(path: Path) -> str:
    from pydicom import dcmread  # noqa: PLC0415

    return str(dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def _gigabytes(line: str) -> float:
    """What this process holds (VmRSS), or held at most (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(float(each.split()[1]) for each in status.splitlines() if each.startswith(line)) * 1024 / 1e9


def _measured(name: str, write: Callable[[Path], None], config: Path, told: dict[str, str]) -> float:
    """The peak of one study in GB."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        write(images)
        ours, theirs = context.Pipe()
        process = context.Process(target=_analyse, args=(images, config, theirs))
        process.start()
        theirs.close()
        peak, told[name] = ours.recv()
        process.join()
    return float(peak)


def _cases(wanted: argparse.Namespace) -> Iterator[tuple[str, Callable[[Path], None]]]:
    slices, frames, outlined, side = wanted.slices, wanted.frames, wanted.outlined, wanted.side
    if slices:
        yield f"CT, {slices} slices of 512 x 512", partial(_write_ct, slices=slices)
    if frames:
        us = f"ultrasound, {frames} frames of 640 x 480"
        yield us, partial(_write_ultrasound, frames=frames)
        yield f"{us}, JPEG-LS", partial(_write_compressed_ultrasound, frames=frames)
    if outlined:
        yield f"brain MR, {outlined} slices of {side} x {side}", partial(_write_mr, slices=outlined, side=side)


def main() -> None:
    """Write the studies, analyse them, print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--slices", type=int, default=3000, help="of the CT")
    parser.add_argument("--frames", type=int, default=1000, help="of the ultrasound")
    parser.add_argument("--outlined", type=int, default=3000, help="slices of the MR")
    parser.add_argument("--side", type=int, default=256, help="of a slice of the MR, in pixels")
    wanted, on = parser.parse_args(), machine()
    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = _settings(Path(folder))
        cases = {name: partial(_measured, name, write, config, told) for name, write in _cases(wanted)}
        figures = in_rounds(cases, wanted.rounds)
    ratios = [
        Ratio(f"{name} ({told[name]}): {_GOAL_GB:g} GB / peak", _GOAL_GB / figure.median, 1.0)
        for name, figure in figures.items()
    ]
    report("memory", "GB above the models", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
