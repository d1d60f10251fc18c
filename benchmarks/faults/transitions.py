"""A death at each step of a study, from the first image to done.

`cross` takes a study that way in a child process, with sender, node and PACS in one, and the place that kills it. The
next try goes on with what is on disk, as restarted processes would.
"""

from __future__ import annotations

import datetime
import itertools
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import cast

import numpy as np
from pydicom.dataset import Dataset

from benchmarks.faults.dying import Step, arm, steps
from dicom_node.archive import Archive
from dicom_node.domain.delivery import Destination, EarlierReport, RetryPolicy
from dicom_node.domain.job import JobState
from dicom_node.identification import Arrival
from dicom_node.intake import classify_object
from dicom_node.outbox import Outbox
from dicom_node.pipeline import AnalysedStudy
from dicom_node.reader import LoadedStudy
from dicom_node.receiving import Receiver
from dicom_node.recovering import recover
from dicom_node.results import Addressed
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.worker import Worker
from inference.findings import Analysis
from sr_writer.provenance import is_own_uid
from tests.builders.analyses import EQUIPMENT, analysis_of, encode, headers_of, lesion, segmented
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, dataset_bytes, free_port, saved
from tests.builders.studies import settle_quiet_studies


@dataclass(frozen=True)
class Crossing:
    """What became of a study whose processes were killed at a step."""

    step: Step
    #: Whether the step was passed at all.
    was_killed: bool
    state: str
    #: Instances that were answered with success, and are not kept.
    lost: int
    #: SOP Instance UIDs the node made, and those of other content that the PACS has under one of them.
    made: tuple[str, ...]
    arrived: tuple[str, ...]
    conflicts: int

    @property
    def is_good(self) -> bool:
        """Whether the promise is kept."""
        whole = sorted(self.made) == sorted(self.arrived) and bool(self.made)
        return self.was_killed and self.state == JobState.DONE and whole and not self.lost and not self.conflicts


def cross(folder: Path, step: Step) -> Crossing:
    """Take a study from image to result with a death at `step`, then go on until it is done."""
    _found()
    code = _in_a_child(folder, step)
    _in_a_child(folder, None)
    store = Store.open(folder / "node.db")
    try:
        [study] = store.studies()
        kept = {each.sop_instance_uid for each in store.instances(study.study_instance_uid) if each.path.exists()}
    finally:
        store.close()
    told = (folder / "acknowledged").read_text(encoding="utf-8").split()
    return Crossing(
        step,
        was_killed=code == -signal.SIGKILL,
        state=study.state,
        lost=len(set(told) - kept),
        made=tuple(delivery.sop_instance_uid for delivery in study.deliveries),
        arrived=tuple(path.stem for path in (folder / "pacs" / "spool").glob("*/*/*.dcm")),
        conflicts=len(list((folder / "pacs" / "conflicts").glob("*/*"))),
    )


def _in_a_child(folder: Path, step: Step | None) -> int | None:
    """The exit code; -9 when it was killed."""
    child = multiprocessing.get_context("fork").Process(target=_go_through, args=(folder, step))
    child.start()
    child.join(120)
    return child.exitcode


def _go_through(folder: Path, step: Step | None) -> None:
    """Sender, node and PACS, one after the other, until nothing is left to do."""
    # an hour later, when the process is started again: leases have run out, quiet times and waits have passed
    seconds = itertools.count(1000 if step is not None else 4600)
    clock = partial(next, cast("Iterator[float]", seconds))
    if step is not None:
        arm(step)
    pacs = Destination("PACS", "PACS", HOST, free_port())
    store, spool = Store.open(folder / "node.db"), Spool(folder, minimum_free_bytes=0)
    receiver = Receiver(spool, store, lambda sop_class, uid, _maker: classify_object(sop_class, is_own=is_own_uid(uid)))
    recover(spool, receiver, store, now=clock())
    _send(folder, receiver, clock)
    settle_quiet_studies(store, 1.0, clock() + 10)
    worker = Worker(f"w{os.getpid()}", store, spool, _Analysis(breaks=step is not None), clock)
    while worker.take_one():
        pass
    outbox = Outbox(store, {"PACS": pacs}, "AINODE", clock, RetryPolicy(3600.0, random.Random(0)))
    if step is not None:
        outbox.deliver_due()  # nobody listens there yet
    archive = Archive("PACS", HOST, pacs.port, folder / "pacs")
    archive.start()
    later = Outbox(store, {"PACS": pacs}, "AINODE", lambda: clock() + 600, RetryPolicy(3600.0, random.Random(0)))
    while later.deliver_due():
        pass
    archive.stop()
    store.close()


def _images() -> list[Dataset]:
    shape = (2, 32, 32)
    return mr_series(shape, pixels=np.arange(np.prod(shape)).reshape(shape))


def _send(folder: Path, receiver: Receiver, clock: Callable[[], float]) -> None:
    """What is not acknowledged yet; acknowledged is what `receive` came back from."""
    log = folder / "acknowledged"
    log.touch()
    told = log.read_text(encoding="utf-8").split()
    for image in _images():
        uid = str(image.SOPInstanceUID)
        if uid not in told:
            dataset = dataset_bytes(saved(image, folder / "sent"))
            meta = image.file_meta
            arrival = Arrival(dataset, str(image.SOPClassUID), uid, str(meta.TransferSyntaxUID), "PACS")
            receiver.receive(arrival, now=clock())
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{uid}\n")


class _Analysis:
    """Finds the same lesion in the same images; the first time it may break off."""

    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    def __call__(
        self, _study: str, paths: Sequence[Path], when: datetime.datetime, _earlier: Sequence[EarlierReport]
    ) -> AnalysedStudy:
        if self._breaks:
            self._breaks = False
            raise ArithmeticError
        analysis, headers, results = _found()
        objects = []
        for each in results:
            each.ContentDate, each.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
            objects.append(Addressed(each, ("PACS",)))
        return AnalysedStudy(analysis, tuple(objects), LoadedStudy((), (), headers))


@cache
def _found() -> tuple[Analysis, dict[str, Dataset], tuple[Dataset, ...]]:
    """A lesion, and the objects that say so; made once, before the children that die."""
    images = _images()
    found = segmented(lesion((2, 32, 32), start=(0, 8, 8), size=(2, 10, 10)))
    analysis, headers = analysis_of(images, found), headers_of(*images)
    return analysis, headers, encode(analysis, headers, EQUIPMENT)


@dataclass(frozen=True)
class Crossings:
    """All steps."""

    crossings: tuple[Crossing, ...]

    @property
    def is_good(self) -> bool:
        """Whether every study was done after every death."""
        return all(each.is_good for each in self.crossings)

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {"good": self.is_good, "crossings": [{**asdict(each), "good": each.is_good} for each in self.crossings]}

    def __str__(self) -> str:
        """One line."""
        bad = [str(each.step) for each in self.crossings if not each.is_good]
        return (
            f"{'good' if self.is_good else 'BAD'}: killed at {len(self.crossings)} steps of a study; "
            f"not as promised: {', '.join(bad) or 'none'}"
        )


def run_transitions(folder: Path) -> Crossings:
    """Die at each step once."""
    crossings = []
    for number, step in enumerate(steps()):
        place = folder / str(number)
        place.mkdir(parents=True)
        crossings.append(cross(place, step))
    return Crossings(tuple(crossings))
