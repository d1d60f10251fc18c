"""How fast images come in: `python -m benchmarks.receive [--rounds N] [--objects N] [--associations N] [--json FILE]`.

This node, DCMTK's storescp --fork, Orthanc and a naive pynetdicom receive the same generated images from DCMTK's
storescu on the loopback interface, one after the other in each round. Only this node answers after its disk has
answered. TCP_NODELAY is 1 at both ends: DCMTK leaves Nagle's algorithm on, and would be several times slower for it.
The time is that of the senders from start to end; that every image was stored is looked up afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.domain.delivery import Destination
from tests.builders.command import environment, eventually, serving, write_config
from tests.builders.datasets import encoded, mr_series
from tests.builders.network import HOST, free_port
from tests.builders.orthanc import running_orthanc

_ROWS = 512
#: The last digits of the UIDs of instance and of study, replaced for each object and for each turn.
_INSTANCE_PLACE, _STUDY_PLACE = "7" * 20, "8" * 20
_UID_PREFIX = "1.2.826.0.1.3680043.8.498.1"
#: Goals of the ratios; the last is milliseconds of CPU for an image.
_GOALS = {"storescp --fork": 0.9, "Orthanc": 1.6, "naive pynetdicom": 3.0}
_CPU_GOAL_MS = 2.5
_NODE = "this node"
#: Share of a core below which a server is idle, and for how many seconds that is waited for.
_IDLE, _MOST_LOOKS = 0.15, 30


@dataclass(frozen=True)
class Server:
    """A receiver that runs; `stored` tells which of the UIDs it has whole."""

    name: str
    ae_title: str
    port: int
    process: psutil.Process
    stored: Callable[[Sequence[str]], int]


@dataclass
class Bench:
    """The objects of one measurement after the other, and what the servers used for them."""

    folder: Path
    count: int
    template: bytes
    turn: int = 0
    cpu_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def images_per_second(self, server: Server, associations: int) -> float:
        """Send fresh objects over so many associations at once. Exits when one of them was not stored."""
        uids = self._write(associations)
        before = _cpu_s(server.process)
        started = time.perf_counter()
        senders = [
            subprocess.Popen(_storescu(server, self._folder(number, associations)), env=_ENVIRONMENT)
            for number in range(associations)
        ]
        codes = [sender.wait(600) for sender in senders]
        elapsed = time.perf_counter() - started
        if server.name == "storescp --fork":  # the time of its children counts when it has taken note of their end
            eventually(lambda: not server.process.children())
        self.cpu_ms[f"{server.name}, {associations}"].append((_cpu_s(server.process) - before) * 1000 / self.count)
        stored = server.stored(uids)
        if any(codes) or stored != self.count:
            sys.exit(f"{server.name} has {stored} of {self.count} images; storescu ended with {codes}")
        return self.count / elapsed

    def _write(self, associations: int) -> list[str]:
        """As many folders as associations, none of whose objects was there before.

        Files are written again in their places: for a while after many were deleted, ext4 is slow to make new ones, and
        that would be the servers' time.
        """
        self.turn += 1
        study = f"{self.turn}".rjust(len(_STUDY_PLACE), "1")
        of_study = self.template.replace(_STUDY_PLACE.encode(), study.encode())
        uids = []
        for number in range(self.count):
            digits = f"{self.turn:06d}{number:06d}".rjust(len(_INSTANCE_PLACE), "1")
            uids.append(f"{_UID_PREFIX}{digits}")
            folder = self._folder(number % associations, associations)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.dcm").write_bytes(of_study.replace(_INSTANCE_PLACE.encode(), digits.encode()))
        os.sync()
        return uids

    def _folder(self, number: int, associations: int) -> Path:
        return self.folder / f"{associations} at once" / str(number)


_ENVIRONMENT = {**environment(), "TCP_NODELAY": "1"}


def _storescu(server: Server, folder: Path) -> list[str]:
    return ["storescu", "-aet", "PACS", "-aec", server.ae_title, "+sd", HOST, str(server.port), str(folder)]


def _image() -> bytes:
    """A file of 526 KB, with marks where its UIDs differ from those of others."""
    pixels = np.random.default_rng(1).integers(0, 4096, (1, _ROWS, _ROWS))
    image = mr_series((1, _ROWS, _ROWS), pixels=pixels)[0]
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = _UID_PREFIX + _INSTANCE_PLACE
    image.StudyInstanceUID, image.SeriesInstanceUID = f"{_UID_PREFIX}{_STUDY_PLACE}", f"{_UID_PREFIX}.{_STUDY_PLACE}"
    return encoded(image)


def _cpu_s(process: psutil.Process) -> float:
    """Of a process and all that it has started, in seconds."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _files(folder: Path, size_bytes: int, uids: Sequence[str]) -> int:
    """How many are there under their UIDs, with all their pixels."""
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    by_uid = {name.removesuffix(".dcm").removeprefix("MR."): size for name, size in sizes.items()}
    return sum(by_uid.get(uid, 0) > size_bytes for uid in uids)


@contextmanager
def _node(folder: Path, size_bytes: int) -> Iterator[Server]:
    """The real command; it has no models, and its studies do not settle, so that nothing is analysed meanwhile."""
    config, port = write_config(folder, free_port(), quiet_seconds=86000)
    (folder / "none").mkdir()
    content = config.read_text().replace("settle: {", "settle: {at_most_seconds: 86400, ")
    config.write_text(content + "models: {folder: none}\n")
    with serving(config, port) as node:
        process = psutil.Process(node.process.pid)
        yield Server(_NODE, "AINODE", port, process, partial(_files, folder / "var" / "spool", size_bytes))


@contextmanager
def _started(name: str, ae_title: str, command: Sequence[str], port: int, kept: Path, size: int) -> Iterator[Server]:
    with (kept.parent / f"{ae_title}.log").open("wb") as log:
        process = subprocess.Popen([*command], env=_ENVIRONMENT, stdout=log, stderr=log)
        try:
            yield Server(name, ae_title, port, psutil.Process(process.pid), partial(_files, kept, size))
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _storescp(folder: Path, size_bytes: int) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "--max-pdu", "131072", "-aet", "STORESCP", "-od", str(folder), str(port)]
    with _started("storescp --fork", "STORESCP", command, port, folder, size_bytes) as server:
        yield server


@contextmanager
def _naive(folder: Path, size_bytes: int) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.naive_receiver", str(port), str(folder)]
    with _started("naive pynetdicom", "NAIVE", command, port, folder, size_bytes) as server:
        yield server


@contextmanager
def _orthanc(folder: Path) -> Iterator[Server]:
    port = free_port()
    os.environ["TCP_NODELAY"] = "1"
    with running_orthanc(folder, [Destination("PACS", "PACS", HOST, free_port())], dicom_port=port) as orthanc:
        [process] = [each for each in psutil.Process().children() if each.name().lower() == "orthanc"]

        def stored(uids: Sequence[str]) -> int:
            return sum(bool(orthanc.post("/tools/lookup", uid.encode())) for uid in uids)

        yield Server("Orthanc", "PACS", port, process, stored)


def _is_quiet(process: psutil.Process) -> bool:
    """Whether it has done with its start, as far as a second tells."""
    before = _cpu_s(process)
    time.sleep(1.0)
    return _cpu_s(process) - before < _IDLE


def main() -> None:
    """Measure, print, and leave a JSON file if asked, and another one beside it of the CPU that was used."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--objects", type=int, default=500, help="images of each turn; left out: 500")
    parser.add_argument("--associations", default="1,4,8", help="at once; left out: 1,4,8")
    wanted, on = parser.parse_args(), machine()
    missing = [tool for tool in ("storescu", "storescp", "Orthanc") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: apt-get install dcmtk orthanc")
    template, sides = _image(), [int(number) for number in wanted.associations.split(",")]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        place, size = Path(temporary), len(template) - 4096
        bench = Bench(place / "sent", wanted.objects, template)
        servers = [
            running.enter_context(_node(place / "node", size)),
            running.enter_context(_storescp(place / "storescp", size)),
            running.enter_context(_orthanc(place / "orthanc")),
            running.enter_context(_naive(place / "naive", size)),
        ]
        for server in servers:
            any(_is_quiet(server.process) for _ in range(_MOST_LOOKS))
        cases = {
            f"{server.name}, {side}": partial(bench.images_per_second, server, side)
            for side in sides
            for server in servers
        }
        figures = in_rounds(cases, wanted.rounds)
    cpu = {name: Figure(tuple(values)) for name, values in bench.cpu_ms.items()}
    ratios = [
        Ratio(f"{_NODE} / {other}, {side}", _over(figures, side, other), goal)
        for side in sides
        for other, goal in _GOALS.items()
    ]
    report("receive", f"images of {len(template) // 1000} KB/s", figures, ratios, on=on, file=wanted.json)
    budget = [
        Ratio(f"{_CPU_GOAL_MS} ms / CPU of {_NODE}, {side}", _CPU_GOAL_MS / cpu[f"{_NODE}, {side}"].median, 1.0)
        for side in sides
    ]
    beside = wanted.json and wanted.json.with_stem(f"{wanted.json.stem}-cpu")
    report("receive, CPU", "ms CPU per image", cpu, budget, on=on, file=beside)


def _over(figures: dict[str, Figure], side: int, other: str) -> float:
    return figures[f"{_NODE}, {side}"].median / figures[f"{other}, {side}"].median


if __name__ == "__main__":
    main()
