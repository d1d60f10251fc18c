"""What a large study costs the small ones, and inference the images that come in:
`python -m benchmarks.fairness [--rounds N] [--slices N] [--images N] [--json FILE]`.

Nodes are served with the shipped packages and one worker, two, and two that do not give way to receiving. A small study
is sent to each, alone and while a stack of so many slices is analysed there; what counts is the time from settling to
its analysed results, by the node's own records. Nothing is worked ahead, so that all of the analysis is in it. The
images that come in are 526 KB large, over one association, and of a study that does not settle.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from pydicom import Dataset
from pydicom.uid import generate_uid

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.domain.delivery import Destination
from dicom_node.domain.fairness import LARGE_IMAGES
from dicom_node.domain.job import JobState
from dicom_node.phantoms import phantom_studies
from dicom_node.storage_scu import context_wish, open_storage
from dicom_node.store import Store
from tests.builders.command import eventually, serving
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, free_port

_PATIENCE_S = 900.0
#: Sends what is analysed; sends what never settles.
_PACS, _SCANNER = "PACS", "SCANNER"
_SMALL = ("brain MR", "hand radiograph")
_ONE, _TWO, _TWO_RUTHLESS = "1 worker", "2 workers", "2 workers, niceness 0"
_RUNTIMES = {_ONE: {"workers": 1}, _TWO: {"workers": 2}, _TWO_RUTHLESS: {"workers": 2, "niceness": 0}}
#: A small study beside a large one has half of the machine, and what the caches lose.
_MOST_TIMES = 3.0


@dataclass(slots=True)
class Site:
    """A node that runs; `large` is the study that was made to keep it busy last."""

    node: Destination
    database: Path
    folder: Path
    workers: int
    slices: int
    images: int
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time())))
    large: str = ""

    def analysed_alone(self, kind: str) -> float:
        """Seconds from settling to the results of a small study while nothing else is analysed."""
        self.rest()
        return self._analysed(kind)

    def analysed_beside(self, kind: str) -> float:
        """The same while a large study is analysed; where one worker does all, after it."""
        self._keep_busy()
        seconds = self._analysed(kind)
        if self.workers > 1:
            self._see_that_it_was_busy()
        return seconds

    def received_idle(self) -> float:
        """Images in a second while nothing is analysed."""
        self.rest()
        return self._received()

    def received_beside(self) -> float:
        """The same while a large study is analysed."""
        self._keep_busy()
        rate = self._received()
        self._see_that_it_was_busy()
        return rate

    def _see_that_it_was_busy(self) -> None:
        if self._state(self.large) != JobState.RUNNING:
            sys.exit("the large study was over too soon: take more --slices")

    def rest(self) -> None:
        """Wait until the large study is over."""
        if self.large and not eventually(lambda: not self._is_open(self.large), _PATIENCE_S):
            sys.exit("the large study does not come to its end")

    def _keep_busy(self) -> None:
        if self.large and self._state(self.large) == JobState.RUNNING:
            return
        self.rest()
        [study] = studies("brain MR", next(self.seeds))
        self.large = self._sent(stacked(study, self.slices), _PACS)
        if not eventually(lambda: self._state(self.large) == JobState.RUNNING, _PATIENCE_S):
            sys.exit("the large study does not begin")

    def _analysed(self, kind: str) -> float:
        [study] = studies(kind, next(self.seeds))
        uid = self._sent(study, _PACS)
        if not eventually(lambda: not self._is_open(uid), _PATIENCE_S):
            sys.exit("a small study does not come to its end")
        with closing(Store.open(self.database)) as store:
            [told] = [each for each in store.studies() if each.study_instance_uid == uid]
        return (told.finished_at or 0.0) - (told.settled_at or 0.0)

    def _received(self) -> float:
        pixels = np.random.default_rng(1).integers(0, 4096, (1, 512, 512))
        [image] = mr_series((1, 512, 512), pixels=pixels)
        image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
        images = stacked([image], self.images, anew=True)
        return self.images / self._seconds_to_send(images, _SCANNER)

    def _sent(self, images: Sequence[Dataset], sender: str) -> str:
        self._seconds_to_send(images, sender)
        return str(images[0].StudyInstanceUID)

    def _seconds_to_send(self, images: Sequence[Dataset], sender: str) -> float:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            paths = [Path(folder) / f"{number}.dcm" for number in range(len(images))]
            for path, image in zip(paths, images, strict=True):
                image.save_as(path, enforce_file_format=True)
            with open_storage(self.node, sender, {context_wish(path) for path in paths}) as line:
                started = time.perf_counter()
                for path in paths:
                    line.send(path)
                return time.perf_counter() - started

    def _state(self, uid: str) -> str:
        with closing(Store.open(self.database)) as store:
            return next((each.state for each in store.studies() if each.study_instance_uid == uid), "")

    def _is_open(self, uid: str) -> bool:
        return self._state(uid) in ("", JobState.RECEIVING, JobState.READY, JobState.RUNNING)


def studies(kind: str, seed: int) -> list[Sequence[Dataset]]:
    """The generated studies of a kind."""
    now = datetime.datetime.now().astimezone()
    return [each.instances for each in phantom_studies(seed, now, kinds=(kind,))]


def stacked(images: Sequence[Dataset], count: int, *, anew: bool = False) -> list[Dataset]:
    """So many slices of one series, by repetition; UIDs of their own have those that repeat, or all `anew`."""
    stack = []
    for number in range(count):
        image = copy.deepcopy(images[number % len(images)])
        if anew or number >= len(images):
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        *place, height = image.ImagePositionPatient
        image.ImagePositionPatient = [*place, float(height) + 5.0 * len(images) * (number // len(images))]
        image.InstanceNumber = number + 1
        stack.append(image)
    return stack


@contextmanager
def _site(runtime: dict[str, int], folder: Path, wanted: argparse.Namespace) -> Iterator[Site]:
    port = free_port()
    content = {
        "node": {"ae_title": "AINODE", "host": HOST, "port": port, "storage": "./var"},
        "peers": {
            _PACS: {"ae_title": _PACS, "host": HOST, "port": free_port()},
            _SCANNER: {"ae_title": _SCANNER, "host": HOST, "port": free_port(), "settle": {"quiet_seconds": 86400}},
        },
        "receive": {"from": [_PACS, _SCANNER], "minimum_free_mb": 1},
        "deliver": {"to": [_PACS]},
        "settle": {"quiet_seconds": 0.5, "at_most_seconds": 86400},
        "runtime": {**runtime, "work_ahead": False, "device": "cpu"},
    }
    (folder / "sent").mkdir(parents=True)
    config = folder / "node.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    with serving(config, port) as node:
        if not eventually(lambda: node.log.read_text().count("worker_warm") == runtime["workers"], _PATIENCE_S):
            sys.exit(f"the node does not come up:\n{node.log.read_text()}")
        destination = Destination("node", "AINODE", HOST, port)
        database, sent, workers = folder / "var" / "node.db", folder / "sent", runtime["workers"]
        yield Site(destination, database, sent, workers, wanted.slices, wanted.images)


def _cases(sites: dict[str, Site]) -> Iterator[tuple[str, Callable[[], float]]]:
    """Seconds, of each node first alone."""
    for name in (_ONE, _TWO):
        site = sites[name]
        for kind in _SMALL:
            yield f"{kind}, {name}, alone", partial(site.analysed_alone, kind)
        for kind in _SMALL:
            yield f"{kind}, {name}, beside a large study", partial(site.analysed_beside, kind)
        site_ends = f"{name}, until the large study is over"
        yield site_ends, partial(_waited, site)


def _waited(site: Site) -> float:
    started = time.monotonic()
    site.rest()
    return time.monotonic() - started


def _rates(sites: dict[str, Site]) -> Iterator[tuple[str, Callable[[], float]]]:
    for name in (_TWO, _TWO_RUTHLESS):
        yield f"received, {name}, idle", sites[name].received_idle
        yield f"received, {name}, beside a large study", sites[name].received_beside
        yield f"{name}, until the large study is over", partial(_waited, sites[name])


def _ratios(times: dict[str, Figure], rates: dict[str, Figure]) -> Iterator[Ratio]:
    for kind, name in itertools.product(_SMALL, (_ONE, _TWO)):
        alone, beside = (times[f"{kind}, {name}, {how}"].median for how in ("alone", "beside a large study"))
        goal = None if name == _ONE else 1 / _MOST_TIMES
        yield Ratio(f"{kind}, {name}: alone / beside a large study", alone / beside, goal)
    for name in (_TWO, _TWO_RUTHLESS):
        idle, beside = (rates[f"received, {name}, {how}"].median for how in ("idle", "beside a large study"))
        yield Ratio(f"received, {name}: beside a large study / idle", beside / idle)


def main() -> None:
    """Measure, print, and leave a JSON file if asked, and another one beside it of what was received."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--slices", type=int, default=1000, help="of the large study; left out: 1000")
    parser.add_argument("--images", type=int, default=100, help="received in each turn; left out: 100")
    wanted, on = parser.parse_args(), machine()
    if wanted.slices < LARGE_IMAGES:
        sys.exit(f"a study is large from {LARGE_IMAGES} slices on")
    with tempfile.TemporaryDirectory(prefix="dicom-node-fairness-") as scratch, ExitStack() as stack:
        sites = {
            name: stack.enter_context(_site(runtime, Path(scratch) / str(number), wanted))
            for number, (name, runtime) in enumerate(_RUNTIMES.items())
        }
        times = in_rounds(dict(_cases(sites)), wanted.rounds)
        rates = in_rounds(dict(_rates(sites)), wanted.rounds)
    ratios = list(_ratios(times, rates))
    report("fairness", "s", times, ratios[: 2 * len(_SMALL)], on=on, file=wanted.json)
    beside = wanted.json and wanted.json.with_stem(f"{wanted.json.stem}-receive")
    report("fairness, images of 526 KB received", "images/s", rates, ratios[2 * len(_SMALL) :], on=on, file=beside)


if __name__ == "__main__":
    main()
