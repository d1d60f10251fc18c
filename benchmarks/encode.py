"""How long result objects take to make: `python -m benchmarks.encode [--rounds N] [--json FILE]`, on one core.

Medians with ranges over repeated runs, each beside a plain copy of 64 MB in the same run, since absolute times mean
little on shared machines.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from pydicom import Dataset

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from inference.findings import Region, StageRun
from sr_writer.described import describe
from sr_writer.encode import encode
from sr_writer.profiles import Profile, ResultKind, SegmentationForm, SegmentPer
from sr_writer.provenance import provenance_of
from sr_writer.segmentation import segmentation
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, detected, headers_of, lesion, segmented
from tests.builders.datasets import mr_series, radiograph

_YARDSTICK = "copy of 64 MB"


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


def _milliseconds(case: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.process_time()
        case()
        return (time.process_time() - started) * 1000

    return timed


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    wanted, on = options(__doc__, rounds=5).parse_args(), machine()
    cases = {
        _YARDSTICK: _copied,
        "SEG, 150 slices, 1 segment, BINARY": _slices(150, 1, SegmentationForm.BINARY),
        "SEG, 400 slices, 5 segments, LABELMAP": _slices(400, 5, SegmentationForm.LABELMAP),
        "outlines, 400 slices, 5 segments": _outlines(400, 5),
        "SR, 200 groups": _groups(200),
    }
    figures = in_rounds({name: _milliseconds(case) for name, case in cases.items()}, wanted.rounds)
    ratios = [Ratio(f"{name}, in copies", each.median / figures[_YARDSTICK].median) for name, each in figures.items()]
    report("encode", "ms CPU", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
