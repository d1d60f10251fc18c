"""How soon results follow the last image: `python -m benchmarks.latency [--rounds N] [--pace S] [--json FILE]`.

A node is served as an administrator serves it, once for each case, all with the shipped packages, and an archive is its
PACS. A study comes image by image; what counts is the time from the answer to its last C-STORE until its last result
is stored, without the time in which it settled, by the node's own records.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from pydicom import Dataset

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.archive import Archive
from dicom_node.domain.delivery import DeliveryState, Destination
from dicom_node.domain.job import JobState
from dicom_node.phantoms import phantom_studies
from dicom_node.sending import send_folder
from dicom_node.storage_scu import context_wish, open_storage
from dicom_node.store import Store

_HOST = "127.0.0.1"
_PATIENCE_S = 120.0
#: The first node converts and compiles the networks.
_START_PATIENCE_S = 600.0
_STUDIES = {"brain MR": 3.0, "hand radiograph": 1.5}
#: Seconds within which a study settles whose PACS says how many instances it holds.
_SETTLED_S = 1.0
#: How many times as large as the drawn one a radiograph is, in each direction.
_ENLARGED = 6


@dataclass(frozen=True, slots=True)
class Way:
    """How a node is set up."""

    settles_by: str
    work_ahead: bool

    def __str__(self) -> str:
        return f"{self.settles_by}, {'working ahead' if self.work_ahead else 'plain'}"


_WAYS = tuple(Way(by, ahead) for by, ahead in itertools.product(("quiet time", "count"), (False, True)))


@dataclass(slots=True)
class Site:
    """A node that runs, its PACS, and what was measured there."""

    node: Destination
    pacs: Destination
    database: Path
    folder: Path
    pace_s: float
    parts: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def answered(self, kind: str, seed: int) -> float:
        """Seconds from the last answer to a study's last C-STORE until its last result, without settling."""
        study = _study(kind, seed)
        folder = self.folder / f"{kind}-{seed}"
        paths = _saved(study, folder)
        for result in send_folder(folder, self.pacs, "MODALITY"):
            assert result.arrived, result.problem
        with open_storage(self.node, self.pacs.ae_title, {context_wish(path) for path in paths}) as sender:
            for path in paths:
                sender.send(path)
                threading.Event().wait(self.pace_s if path != paths[-1] else 0)
            stored = time.time()
        uid = str(study[0].StudyInstanceUID)
        at = self._ended(uid)
        settled = at["settled"] - at["last image"]
        whole = at["last result"] - stored - settled
        for part, value in (
            ("settled", settled),
            ("claimed", at["claimed"] - at["settled"]),
            ("analysed", at["analysed"] - at["claimed"]),
            ("stored", at["last result"] - at["analysed"]),
        ):
            self.parts[kind][part].append(value)
        return whole

    def _ended(self, uid: str) -> dict[str, float]:
        """When what happened, once all results of a study are stored."""
        store, pause = Store.open(self.database), threading.Event()
        try:
            give_up_at = time.monotonic() + _PATIENCE_S
            while time.monotonic() < give_up_at:
                found = [each for each in store.studies() if each.study_instance_uid == uid]
                if found and found[0].state == JobState.DONE:
                    events = store.events(uid)
                    sent = [event.at for event in events if event.action == DeliveryState.SENT]
                    claimed = [event.at for event in events if event.action == JobState.RUNNING]
                    told = found[0]
                    return {
                        "last image": told.last_image_at or 0.0,
                        "settled": told.settled_at or 0.0,
                        "claimed": claimed[-1],
                        "analysed": told.finished_at or 0.0,
                        "last result": max(sent),
                    }
                pause.wait(0.2)
        finally:
            store.close()
        raise TimeoutError(f"study {uid} did not come to its end")


def _study(kind: str, seed: int) -> Sequence[Dataset]:
    """A study that no node has seen yet; a radiograph as large as a small plate."""
    now = datetime.datetime.now().astimezone()
    [study] = [each for each in phantom_studies(seed, now) if each.kind == kind]
    if kind == "hand radiograph":
        for ds in study.instances:
            large = ds.pixel_array.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)
            ds.Rows, ds.Columns = large.shape
            ds.PixelData = np.ascontiguousarray(large).tobytes()
            ds.PixelSpacing = ds.ImagerPixelSpacing = [float(each) / _ENLARGED for each in ds.PixelSpacing]
    return study.instances


def _saved(instances: Sequence[Dataset], folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{number:04d}.dcm" for number in range(len(instances))]
    for path, instance in zip(paths, instances, strict=True):
        instance.save_as(path, enforce_file_format=True)
    return paths


@contextmanager
def _site(way: Way, folder: Path, wanted: argparse.Namespace, compiled: Path) -> Iterator[Site]:
    """A served node and its PACS."""
    node, pacs = (Destination(name, name, _HOST, _free_port()) for name in ("NODE", "PACS"))
    content = {
        "node": {"ae_title": "NODE", "host": _HOST, "port": node.port, "storage": "./var"},
        "peers": {"PACS": {"ae_title": "PACS", "host": _HOST, "port": pacs.port, "query": way.settles_by == "count"}},
        "receive": {"from": ["PACS"], "minimum_free_mb": 1},
        "deliver": {"to": ["PACS"]},
        "settle": {"quiet_seconds": wanted.quiet},
        "runtime": {"compiled": str(compiled), "work_ahead": way.work_ahead},
    }
    folder.mkdir()
    config = folder / "node.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    archive = Archive(pacs.ae_title, pacs.host, pacs.port, folder / "pacs")
    archive.start()
    try:
        with _served(config):
            yield Site(node, pacs, folder / "var" / "node.db", folder / "sent", wanted.pace)
    finally:
        archive.stop()


@contextmanager
def _served(config: Path) -> Iterator[None]:
    """`dicom-node serve`, from when its worker is ready to its end."""
    log, command = config.with_suffix(".log"), "from dicom_node.cli import main; main()"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", command, "serve", "--config", str(config)], stderr=errors, stdout=subprocess.DEVNULL
        )
        try:
            give_up_at = time.monotonic() + _START_PATIENCE_S
            while "worker_warm" not in log.read_text():
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError(f"the node does not come up:\n{log.read_text()}")
                threading.Event().wait(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answered(site: Site, kind: str, seeds: Iterator[int]) -> float:
    return site.answered(kind, next(seeds))


def _told(sites: Mapping[Way, Site]) -> tuple[dict[str, Figure], list[Ratio]]:
    """What the time consists of, and what is promised of settling."""
    parts = {
        f"{kind}, {way}: {part}": Figure(tuple(values))
        for way, site in sites.items()
        for kind, found in site.parts.items()
        for part, values in found.items()
    }
    settling = [
        Ratio(f"{name} within {_SETTLED_S:g} s", _SETTLED_S / figure.median, 1.0)
        for name, figure in parts.items()
        if "count" in name and name.endswith("settled")
    ]
    return parts, settling


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two images; left out: 0.05")
    parser.add_argument("--quiet", type=float, default=3.0, help="settle.quiet_seconds; left out: 3")
    wanted, on, seeds = parser.parse_args(), machine(), itertools.count(int(time.time()))
    with tempfile.TemporaryDirectory(prefix="dicom-node-latency-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        sites = {
            way: stack.enter_context(_site(way, folder / str(number), wanted, folder / "compiled"))
            for number, way in enumerate(_WAYS)
        }
        names = {f"{kind}, {way}": (kind, site) for way, site in sites.items() for kind in _STUDIES}
        cases = {name: partial(_answered, site, kind, seeds) for name, (kind, site) in names.items()}
        figures = in_rounds(cases, wanted.rounds)
        parts, settling = _told(sites)
    ratios = [
        Ratio(f"{name} within {_STUDIES[kind]:g} s", _STUDIES[kind] / figures[name].median, 1.0)
        for name, (kind, _) in names.items()
    ]
    gains = [
        Ratio(
            f"{kind}, {by}: plain / working ahead",
            figures[f"{kind}, {Way(by, False)}"].median / figures[f"{kind}, {Way(by, True)}"].median,
        )
        for kind, by in itertools.product(_STUDIES, ("quiet time", "count"))
    ]
    report("latency", "s", {**figures, **parts}, [*ratios, *settling, *gains], on=on, file=wanted.json)


if __name__ == "__main__":
    main()
