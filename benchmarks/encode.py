"""How long result objects take to make: `python -m benchmarks.encode [--repeat N] [--json FILE]`, on one core.

Medians with ranges over repeated runs, each beside a plain copy of 64 MB in the same run, since absolute times mean
little on shared machines.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset

from inference.findings import Region, StageRun
from sr_writer.described import describe
from sr_writer.encode import encode
from sr_writer.profiles import Profile, ResultKind, SegmentationForm, SegmentPer
from sr_writer.provenance import provenance_of
from sr_writer.segmentation import segmentation
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, detected, headers_of, lesion, segmented
from tests.builders.datasets import mr_series, radiograph


def _slices(count: int, segments: int, form: SegmentationForm) -> Callable[[], object]:
    """A stack of 256 x 256 pixels, `segments` lesions on every slice, described before, as a SEG in a file."""
    shape = (count, 256, 256)
    images = mr_series(shape)
    masks = [lesion(shape, start=(0, 20 + 40 * n, 60), size=(count, 30, 90)) for n in range(segments)]
    analysis = analysis_of(images, segmented(*masks))
    provenance = provenance_of(analysis, headers_of(*images), EQUIPMENT, WHEN)
    (described,) = describe(analysis, provenance, SegmentPer.LESION)
    profile = Profile(frozenset({ResultKind.SEGMENTATION}), segmentation=form)
    return lambda: _written(segmentation(described, provenance, profile))


def _outlines(count: int, segments: int) -> Callable[[], object]:
    """Every contour of such a stack, which report, presentation state and snapshots share."""
    shape = (count, 256, 256)
    images = mr_series(shape)
    masks = [lesion(shape, start=(0, 20 + 40 * n, 60), size=(count, 30, 90)) for n in range(segments)]
    analysis = analysis_of(images, segmented(*masks))
    provenance = provenance_of(analysis, headers_of(*images), EQUIPMENT, WHEN)
    return lambda: describe(analysis, provenance, SegmentPer.LESION)


def _groups(count: int) -> Callable[[], object]:
    """A report of so many boxes on one radiograph, in a file."""
    image = radiograph((2048, 2048))
    run = detected((1, 1, 9, 9))
    boxes = tuple(Region("abnormality", 0.5, 0, 10 * n, 20, 10 * n + 8, 60) for n in range(count))
    found = StageRun(run.stage, run.task, run.outcome, algorithm=run.algorithm, regions=boxes)
    analysis, sources = analysis_of([image], found), headers_of(image)
    profile = Profile(frozenset({ResultKind.REPORT}))
    return lambda: _written(*encode(analysis, sources, EQUIPMENT, WHEN, profile))


def _written(*objects: Dataset) -> int:
    """Bytes of every object."""
    size = 0
    for each in objects:
        file = io.BytesIO()
        each.save_as(file, enforce_file_format=True)
        size += file.tell()
    return size


def _copied() -> int:
    """The yardstick: 64 MB from one place to another."""
    return int(np.zeros(64 << 20, np.uint8).copy()[-1])


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--json", type=Path)
    wanted = arguments.parse_args()
    cases = {
        "copy of 64 MB": _copied,
        "SEG, 150 slices, 1 segment, BINARY": _slices(150, 1, SegmentationForm.BINARY),
        "SEG, 400 slices, 5 segments, LABELMAP": _slices(400, 5, SegmentationForm.LABELMAP),
        "outlines, 400 slices, 5 segments": _outlines(400, 5),
        "SR, 200 groups": _groups(200),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(wanted.repeat):  # interleaved, so that a slow minute is everybody's
        for name, case in cases.items():
            started = time.process_time()
            case()
            times[name].append((time.process_time() - started) * 1000)
    yardstick = statistics.median(times["copy of 64 MB"])
    for name, each in times.items():
        middle = statistics.median(each)
        print(f"{name:40} {middle:8.0f} ms CPU ({min(each):.0f} to {max(each):.0f})  {middle / yardstick:7.1f} copies")  # noqa: T201
    if wanted.json:
        wanted.json.write_text(json.dumps(times, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
