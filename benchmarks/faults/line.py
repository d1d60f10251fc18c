"""Sender, node and PACS as processes that can be killed and come again, and what is true of them at the end."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from benchmarks.faults.stream import acknowledged, digest_of
from inference.cards import OperatingPoint
from inference.findings import Task
from tests.builders.command import COMMAND, environment
from tests.builders.network import HOST, free_port
from tests.builders.packages import write_package

#: Two networks that mean nothing and answer at once: what is tested here is not what they say.
_CASCADE = {
    "stages": [
        {"name": "modality", "task": "classification", "package": "tiny-classifier", "question": "modality"},
        {"name": "tumour", "task": "segmentation", "package": "tiny-outliner", "question": "tumour"},
    ]
}
_ENDS = ("done", "failed", "held")


@dataclass
class Line:
    """A stream of studies from a sender through a node to a PACS. Everything is in `folder`."""

    folder: Path
    seed: int
    pause_s: float = 1.0
    node_port: int = field(default_factory=free_port)
    pacs_port: int = field(default_factory=free_port)
    #: Sender, node and PACS; their logs are beside their folders.
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    #: How the node is run; fault injection puts something else here.
    serve: Sequence[str] = (str(COMMAND), "serve")

    def prepare(self) -> None:
        """Configuration, cascade and model packages."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_package(self.folder / "models" / "tiny-classifier")
        point = OperatingPoint(threshold=0.01)
        write_package(self.folder / "models" / "tiny-outliner", Task.SEGMENTATION, operating_point=point)
        (self.folder / "cascade.yaml").write_text(yaml.safe_dump(_CASCADE), encoding="utf-8")
        settings = {
            "node": {"ae_title": "AINODE", "host": HOST, "port": self.node_port, "storage": "./node"},
            "peers": {"PACS": {"ae_title": "PACS", "host": HOST, "port": self.pacs_port}},
            "receive": {"from": ["PACS"]},
            "deliver": {"to": ["PACS"]},
            "settle": {"quiet_seconds": 1.0},
            "models": {"folder": "./models", "cascade": "./cascade.yaml"},
            "runtime": {"threads": 1},
        }
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")

    @property
    def config(self) -> Path:
        """The node's configuration file."""
        return self.folder / "node.yaml"

    @property
    def parts(self) -> tuple[str, ...]:
        """What can be killed."""
        return ("node", "worker", "sender", "pacs")

    def start(self, part: str) -> None:
        """Start it, unless it runs."""
        if part in self.running and self.running[part].poll() is None:
            return
        stream = [sys.executable, "-m", "benchmarks.faults.stream"]
        options = ["--seed", str(self.seed), "--pause", str(self.pause_s)]
        commands = {
            "node": [*self.serve, "--config", str(self.config)],
            "sender": [*stream, "sender", str(self.folder / "sender"), str(self.node_port), *options],
            "pacs": [*stream, "pacs", str(self.folder / "pacs"), str(self.pacs_port)],
        }
        with (self.folder / f"{part}.log").open("ab") as log:
            self.running[part] = subprocess.Popen(commands[part], stdout=log, stderr=log, env=environment())

    def kill(self, part: str) -> bool:
        """`kill -9`; False when there is no such process now."""
        if part == "worker":
            workers = self._workers()
            for worker in workers:
                worker.kill()
            return bool(workers)
        process = self.running[part]
        alive = process.poll() is None
        process.kill()
        process.wait()
        return alive

    def end(self) -> None:
        """Let the sender finish the study at hand, and no other come."""
        (self.folder / "sender" / "stop").touch()
        self.running["sender"].wait(120)

    def stop(self) -> None:
        """End what still runs, in the usual way."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            process.wait(60)

    def _workers(self) -> list[psutil.Process]:
        try:
            children = psutil.Process(self.running["node"].pid).children()
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def unfinished(self) -> dict[str, str]:
        """Studies that have not come to an end, with their state."""
        if not (self.folder / "node" / "node.db").exists():
            return {}
        found = self._rows("SELECT study_instance_uid, state FROM job")
        return {study: state for study, state in found if state not in _ENDS}

    def events(self) -> int:
        """How much has happened to studies so far."""
        if not (self.folder / "node" / "node.db").exists():
            return 0
        [(number,)] = self._rows("SELECT coalesce(max(event_id), 0) FROM event")
        return int(number)

    def verdict(self) -> Verdict:
        """What became of the stream; to be asked when nothing is unfinished."""
        kept = dict(self._rows("SELECT sop_instance_uid, path FROM instance WHERE kind = 'image'"))
        told = acknowledged(self.folder / "sender")
        lost = [uid for uid, digest in told.items() if not _is_kept(kept.get(uid), digest)]
        made = Counter(uid for (uid,) in self._rows("SELECT sop_instance_uid FROM result"))
        arrived = Counter(path.stem for path in (self.folder / "pacs" / "spool").glob("*/*/*.dcm"))
        jobs = self._rows("SELECT study_instance_uid, state, reason FROM job ORDER BY job_id")
        newest = {study: (state, reason) for study, state, reason in jobs}
        return Verdict(
            studies=len(newest),
            acknowledged=len(told),
            lost=len(lost),
            results=len(made),
            missing=len(made.keys() - arrived.keys()),
            strange=len(arrived.keys() - made.keys()),
            # the same object twice, or other bytes under one UID
            duplicates=sum(count - 1 for count in arrived.values())
            + len(list((self.folder / "pacs" / "conflicts").glob("*/*.dcm"))),
            opened_again=len(jobs) - len(newest),
            not_done=tuple(
                f"{study}: {state}, {reason}" for study, (state, reason) in newest.items() if state != "done"
            ),
            leftovers=sum(path.stat().st_size > 0 for path in (self.folder / "node" / "incoming").iterdir()),
            tracebacks=(self.folder / "node.log").read_text(encoding="utf-8").count("Traceback"),
        )

    def _rows(self, query: str) -> list[tuple[str, ...]]:
        with sqlite3.connect(f"file:{self.folder / 'node' / 'node.db'}?mode=ro", uri=True, timeout=30) as database:
            found = database.execute(query).fetchall()
        database.close()
        return found


@dataclass(frozen=True)
class Verdict:
    """What is true at the end. Good: nothing lost, missing, strange or double, and every study done."""

    studies: int
    #: Instances that were answered 0x0000, and those of them that are not on disk as they were sent.
    acknowledged: int
    lost: int
    #: Different objects the node made, and those of them that the PACS has not, or has without the node knowing.
    results: int
    missing: int
    strange: int
    duplicates: int
    #: Jobs that late images opened, because a sender or the node was away for longer than the quiet time.
    opened_again: int
    not_done: tuple[str, ...]
    #: Unfinished files in incoming/, while the node runs.
    leftovers: int
    tracebacks: int

    @property
    def is_good(self) -> bool:
        """Whether the promise is kept."""
        bad = (self.lost, self.missing, self.strange, self.duplicates, self.leftovers, self.tracebacks)
        return not any(bad) and not self.not_done and self.acknowledged > 0 and self.results > 0


def _is_kept(path: str | None, digest: str) -> bool:
    return path is not None and Path(path).exists() and digest_of(Path(path)) == digest


def wait_until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it comes true in time; it is looked at four times a second."""
    never, until = threading.Event(), time.monotonic() + within_s
    while time.monotonic() < until:
        if condition():
            return True
        never.wait(0.25)
    return condition()


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
