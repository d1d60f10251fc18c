"""Whether the ten-thousandth study costs what the first did:
`python -m benchmarks.soak [--studies N] [--seconds S] [--json FILE]`.

Small studies stream through a node with tiny packages to an archive, each a process, as fast as the node takes them:
one coronal image, which is classified and reported; every tenth three axial ones, which are outlined, too. Told is the
memory of the node's processes and of the archive, and the time that a study takes of the stream, of the first and of
the last tenth of the studies; the first three hundred, during which everything is made ready, do not count, of a short
run the first quarter. 10,000 studies take about ten minutes on two cores.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from pydicom import Dataset, dcmwrite

from benchmarks.faults.line import Line, wait_until
from benchmarks.faults.stream import study
from benchmarks.rounds import Figure, Ratio, machine, options, report
from dicom_node.domain.delivery import Destination
from dicom_node.domain.job import JobState
from dicom_node.storage_scu import context_wish, open_storage
from dicom_node.store import Store
from inference.registry import open_package
from tests.builders.datasets import CORONAL
from tests.builders.network import HOST

#: Studies that are sent, and waited for, together, and how many of these are on their way.
_AT_ONCE, _ON_THEIR_WAY = 20, 4
_WARMING_UP = 15 * _AT_ONCE
#: Of so many studies one is outlined.
_OUTLINED = 10
#: The first and the last part of the studies that are held against each other: one of so many.
_PART = 10
#: What was there at the beginning, divided by what there is at the end, is at least this.
_GOAL = 0.9
_PATIENCE_S = 300.0
#: No part of the node: told only.
_ARCHIVE = "MB of archive"
_ENDS = (JobState.DONE, JobState.FAILED, JobState.HELD)


@dataclass
class Course:
    """What was seen, each time that twenty studies more had ended."""

    seconds: list[float] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=dict)

    def ends(self) -> dict[str, tuple[Figure, Figure]]:
        """Each quantity in the first and in the last part."""
        warm = min(_WARMING_UP // _AT_ONCE, len(self.seconds) // 4)
        number = max(1, (len(self.seconds) - warm) // _PART)
        quantities = {"ms per study": [1000 * each for each in self.seconds], **self.megabytes}
        return {
            name: (Figure(tuple(values[warm : warm + number])), Figure(tuple(values[-number:])))
            for name, values in quantities.items()
        }

    def see(self, line: Line, seconds: float) -> None:
        """How long each of twenty studies took, and what the processes hold now."""
        self.seconds.append(seconds / _AT_ONCE)
        node = psutil.Process(line.running["node"].pid)
        workers = [child for child in node.children() if "spawn_main" in " ".join(child.cmdline())]
        seen = {
            "MB of node": [node],
            "MB of worker": workers,
            "MB of node and all it started": [node, *node.children(recursive=True)],
            _ARCHIVE: [psutil.Process(line.running["pacs"].pid)],
        }
        for name, processes in seen.items():
            held = sum(process.memory_info().rss for process in processes) / 1e6
            self.megabytes.setdefault(name, []).append(held)


def _prepare(line: Line) -> None:
    """As for fault injection, but that only axial stacks are outlined."""
    line.prepare()
    folder = line.folder / "models" / "tiny-outliner"
    open_package(folder).card.model_copy(update={"planes": ("axial",)}).save(folder)


def _images(number: int) -> list[Dataset]:
    images = study(0, number)
    if number % _OUTLINED:
        images = images[:1]
        images[0].ImageOrientationPatient = list(CORONAL)
    return images


def _send(numbers: Sequence[int], node: Destination, folder: Path) -> list[str]:
    """The studies with these numbers, each over an association of its own; their UIDs."""
    sent = []
    for number in numbers:
        images = _images(number)
        paths = [folder / f"{place}.dcm" for place in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            dcmwrite(path, image, enforce_file_format=True)
        with open_storage(node, "PACS", {context_wish(path) for path in paths}) as sender:
            if any(sender.send(path) for path in paths):
                raise RuntimeError(f"study {number} is refused")
        sent.append(str(images[0].StudyInstanceUID))
    return sent


def _all_ended(store: Store, studies: Sequence[str]) -> bool:
    return all(store.history(each).study.state in _ENDS for each in studies)


def _run(line: Line, store: Store, studies: int, seconds: float) -> Course:
    """Until so many studies have ended, or so much time has gone."""
    course, started = Course(), time.monotonic()
    node, folder = Destination("node", "AINODE", HOST, line.node_port), line.folder / "sending"
    folder.mkdir()
    under_way: deque[list[str]] = deque()
    numbers, before = iter(range(0, studies, _AT_ONCE)), started
    while True:
        first = next(numbers, None) if time.monotonic() - started < seconds else None
        if first is not None:
            under_way.append(_send(range(first, first + _AT_ONCE), node, folder))
        if first is None and not under_way:
            return course
        if first is not None and len(under_way) < _ON_THEIR_WAY:
            continue
        eldest = under_way.popleft()
        if not wait_until(partial(_all_ended, store, eldest), _PATIENCE_S):
            raise RuntimeError(f"studies do not come to an end; see {line.folder}")
        now = time.monotonic()
        course.see(line, now - before)
        before = now


def _is_up(line: Line) -> bool:
    return "ready AINODE" in (line.folder / "node.log").read_text(encoding="utf-8")


def main() -> None:
    """Run, hold the ends against each other, print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="and no longer than so")
    wanted, on = parser.parse_args(), machine()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that node and archive do not outlive this
    with tempfile.TemporaryDirectory() as folder:
        line = Line(Path(folder), seed=0)
        _prepare(line)
        try:
            line.start("pacs")
            line.start("node")
            if not wait_until(lambda: _is_up(line), _PATIENCE_S):
                raise RuntimeError(f"the node does not start: {(line.folder / 'node.log').read_text(encoding='utf-8')}")
            with closing(Store.open(line.folder / "node" / "node.db")) as store:
                course = _run(line, store, wanted.studies, wanted.seconds)
                fates = {each.state for each in store.studies()}
        finally:
            line.stop()
    if fates != {JobState.DONE}:
        raise RuntimeError(f"not every study is done: {sorted(fates)}")
    ends = course.ends()
    figures = {f"{name}, start": one for name, (one, _) in ends.items()}
    figures |= {f"{name}, end": other for name, (_, other) in ends.items()}
    ratios = [
        Ratio(f"{name}, start / end", one.median / other.median, None if name == _ARCHIVE else _GOAL)
        for name, (one, other) in ends.items()
    ]
    report(f"soak, {len(course.seconds) * _AT_ONCE} studies", "as told", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
