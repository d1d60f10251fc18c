"""What the largest studies take in memory beyond the models:
`python -m benchmarks.memory [--slices N] [--frames N] [--rounds N] [--json FILE]`.

A CT of 3,000 slices and an ultrasound of 1,000 colour frames, compressed and not, go through the whole analysis with
the shipped packages, each in a process of its own: reading, quality, cascade, result objects. Told is the most that
the process held at any time, less what it held with the models ready. It needs 5 GB of disk.
"""

from __future__ import annotations

import datetime
import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import yaml
from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from inference import phantoms
from tests.builders.datasets import colour_ultrasound, ct_series
from tests.builders.network import HOST

_GOAL_GB = 2.0
#: Pictures that differ; the others of a study repeat them.
_DIFFERENT = 4
_CT, _FRAME = (512, 512), (480, 640)


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


def _settings(folder: Path) -> Path:
    """A node whose storage is in the folder."""
    file = folder / "node.yaml"
    (folder / "node").mkdir()
    told = {
        "node": {"ae_title": "AINODE", "host": HOST, "storage": "./node"},
        "peers": {"PACS": {"ae_title": "PACS", "host": HOST, "port": 104}},
        "receive": {"from": ["PACS"]},
        "deliver": {"to": ["PACS"]},
        "runtime": {"engine": "torch"},
    }
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return file


def _analyse(images: Path, config: Path, to_parent: Connection) -> None:
    """The child: models, then the study; the peak in GB above the first, seconds, volumes, result objects."""
    from dicom_node.engine import build_engine  # noqa: PLC0415  # torch is the child's
    from dicom_node.pipeline import analyse_study  # noqa: PLC0415
    from dicom_node.settings import load_settings  # noqa: PLC0415

    engine = build_engine(load_settings(config, {}))
    before = _peak_gb()
    paths = sorted(images.iterdir())
    started = datetime.datetime.now(datetime.UTC)
    study = str(_uid_of(paths[0]))
    analysed = analyse_study(study, paths, engine, started)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    slices = sum(volume.shape[0] for volume in analysed.loaded.volumes)
    runs = [run for volume in analysed.analysis.volumes for run in volume.runs]
    answers = [run.classification.label if run.classification else str(run.outcome) for run in runs]
    to_parent.send((_peak_gb() - before, f"{slices} slices in {seconds:.0f} s: {', '.join(answers)}"))


def _uid_of(path: Path) -> str:
    from pydicom import dcmread  # noqa: PLC0415

    return str(dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _measured(name: str, write: Callable[[Path, int], None], number: int, told: dict[str, str]) -> float:
    """The peak of one study in GB."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        write(images, number)
        ours, theirs = context.Pipe()
        process = context.Process(target=_analyse, args=(images, _settings(Path(folder)), theirs))
        process.start()
        theirs.close()
        peak, told[name] = ours.recv()
        process.join()
    return float(peak)


def _cases(slices: int, frames: int, told: dict[str, str]) -> Iterator[tuple[str, Callable[[], float]]]:
    ct, us = f"CT, {slices} slices of 512 x 512", f"ultrasound, {frames} frames of 640 x 480"
    yield ct, lambda: _measured(ct, _write_ct, slices, told)
    yield us, lambda: _measured(us, _write_ultrasound, frames, told)
    yield f"{us}, JPEG-LS", lambda: _measured(f"{us}, JPEG-LS", _write_compressed_ultrasound, frames, told)


def main() -> None:
    """Write the studies, analyse them, print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--slices", type=int, default=3000)
    parser.add_argument("--frames", type=int, default=1000)
    wanted, on = parser.parse_args(), machine()
    told: dict[str, str] = {}
    figures = in_rounds(dict(_cases(wanted.slices, wanted.frames, told)), wanted.rounds)
    ratios = [
        Ratio(f"{name} ({told[name]}): {_GOAL_GB:g} GB / peak", _GOAL_GB / figure.median, 1.0)
        for name, figure in figures.items()
    ]
    report("memory", "GB above the models", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
