"""A Ray cluster on this machine: raylets as `ray start` makes them, on loopback ports, telling nobody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.builders.command import COMMAND, environment, eventually
from tests.builders.network import HOST, free_port

_RAY = (sys.executable, "-m", "tests.builders.loopback_ray")
#: Has Ray's users keep to 127.0.0.1, too; raylets would refuse it.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_OBJECTS_BYTES = 80_000_000
_STARTED = "Ray runtime started."


def needs_ray() -> None:
    """Skip where Ray is not installed."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'dicom-ai-node[ray]'")


class RayCluster:
    """A head, and raylets beside it."""

    def __init__(self) -> None:
        # sockets lie in it, and their names may have 107 bytes
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._port = free_port()
        self._raylets: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        """For `runtime.address`."""
        return f"{HOST}:{self._port}"

    def start_head(self, cpus: int = 1) -> None:
        """Also anew, after all was stopped."""
        files = Path(tempfile.mkdtemp(prefix="t", dir=self._folder))
        of_head = ("--head", f"--port={self._port}", "--include-dashboard=false", f"--temp-dir={files}")
        self._start(*of_head, cpus=cpus)

    def add_raylet(self, cpus: int = 1) -> None:
        """One more machine, as far as Ray can tell."""
        self._start(f"--address={self.address}", cpus=cpus)

    def _start(self, *options: str, cpus: int) -> None:
        log = self._folder / f"{len(self._raylets)}.log"
        usual = (
            "--block", "--disable-usage-stats", f"--node-ip-address={HOST}",
            f"--num-cpus={cpus}", f"--object-store-memory={_OBJECTS_BYTES}", "--min-worker-port=0",
            "--max-worker-port=0",
        )  # fmt: skip
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*_RAY, "start", *options, *usual], stdout=out, stderr=out, env=ray_environment(),
                start_new_session=True,
            )  # fmt: skip
        self._raylets.append(process)
        assert eventually(lambda: _STARTED in log.read_text() or process.poll() is not None, 60), log.read_text()
        assert process.poll() is None, log.read_text()

    def replicas(self, raylet: int | None = None) -> list[psutil.Process]:
        """The processes of replicas, of one raylet or of all."""
        chosen = self._raylets if raylet is None else [self._raylets[raylet]]
        alive = [psutil.Process(each.pid) for each in chosen if each.poll() is None]
        children = [child for each in alive for child in each.children(recursive=True)]
        return [child for child in children if _title(child).startswith("ray::Replica")]

    def kill_raylet(self, number: int) -> None:
        """All of it at once, as when a machine loses its power."""
        _kill_group(self._raylets[number])

    def stop(self) -> None:
        """All of it, without a word to anybody."""
        for each in self._raylets:
            _kill_group(each)
        self._raylets.clear()

    def remove(self) -> None:
        """And its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def ray_environment() -> dict[str, str]:
    """One thread a process, and no word to anybody."""
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in environment().items() if name not in _LOOPBACK} | quiet


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Not started yet; meanwhile the processes that this one starts find it."""
    cluster = RayCluster()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in _LOOPBACK.items():
                patch.setenv(name, value)
            yield cluster
    finally:
        cluster.remove()


@contextmanager
def serving_replicas(config: Path) -> Iterator[subprocess.Popen[str]]:
    """`dicom-node ray-serve`, once it serves."""
    command = [str(COMMAND), "ray-serve", "--config", str(config)]
    log = config.with_suffix(".serving.log")
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=ray_environment() | _LOOPBACK
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            assert process.stdout.readline().startswith("serving "), log.read_text()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


def _kill_group(process: subprocess.Popen[Any]) -> None:
    """The raylet and what it started: they share its session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
