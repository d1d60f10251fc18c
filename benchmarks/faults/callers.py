"""Two hundred callers at once that say nothing, half of something, or something very slowly, beside a decent peer."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.faults.fuzz import await_node
from dicom_node.domain.delivery import Destination
from dicom_node.storage_scu import context_wish, open_storage
from tests.builders.command import COMMAND, environment, write_config
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, free_port, saved
from tests.builders.pdus import associate_request

_ARTIM_S = 10
#: A slow caller says a byte so often.
_BYTE_EVERY_S = 0.5
_MOST_GROWTH_MB = 200.0
_STUDIES = 5


@dataclass(frozen=True)
class Besieged:
    """How the decent peer fared, and what was left of the others."""

    callers: int
    #: Seconds for an association with three images, medians: alone, and among the callers.
    alone_s: float
    among_s: float
    #: Images of the decent peer that were not answered with success.
    refused: int
    #: Callers that were still connected when their time was long over.
    left: int
    tracebacks: int
    grown_mb: float

    @property
    def is_good(self) -> bool:
        """Whether everybody decent was served, nobody else stayed, and memory is bounded."""
        return not (self.refused or self.left or self.tracebacks) and self.grown_mb < _MOST_GROWTH_MB

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "good": self.is_good}

    def __str__(self) -> str:
        """One line."""
        return (
            f"{'good' if self.is_good else 'BAD'}: beside {self.callers} silent, half-open and slow callers "
            f"three images took {self.among_s:.2f} s, alone {self.alone_s:.2f} s; {self.refused} images refused; "
            f"{self.left} callers not sent away, {self.tracebacks} tracebacks, node grown by {self.grown_mb:.0f} MB"
        )


def run_callers(folder: Path, *, count: int = 200) -> Besieged:
    """A third of the callers each: no byte, half an association request, a byte of it every half second."""
    config, port = write_config(folder, free_port())
    config.write_text(config.read_text().replace("from: [PACS]", f"from: [PACS], artim_seconds: {_ARTIM_S}"))
    here, log = Destination("node", "AINODE", HOST, port), folder / "node.log"
    with log.open("wb") as errors:
        node = subprocess.Popen([COMMAND, "serve", "--config", config], stdout=errors, stderr=errors, env=environment())
        try:
            await_node(here, node)
            process = psutil.Process(node.pid)
            before, (alone, _) = process.memory_info().rss, _store(here, folder / "sent", "alone")
            with contextlib.ExitStack() as callers:
                connections = [callers.enter_context(socket.create_connection((HOST, port), 60)) for _ in range(count)]
                slow = threading.Thread(target=_speak, args=(connections, associate_request("PACS", "AINODE")))
                slow.start()
                among, refused = _store(here, folder / "sent", "among")
                grown = (process.memory_info().rss - before) / (1 << 20)
                slow.join()
                left = sum(not _is_over(each) for each in connections)
        finally:
            node.terminate()
            node.wait(60)
    return Besieged(count, alone, among, refused, left, log.read_text(encoding="utf-8").count("Traceback"), grown)


def _speak(connections: Sequence[socket.socket], asked: bytes) -> None:
    """Until every one of them should have been sent away."""
    for connection in connections[1::3]:
        connection.sendall(asked[: len(asked) // 2])
    never, until, said = threading.Event(), time.monotonic() + _ARTIM_S, 0
    while time.monotonic() < until and said < len(asked):
        for connection in connections[2::3]:
            with contextlib.suppress(OSError):
                connection.sendall(asked[said : said + 1])
        said += 1
        never.wait(_BYTE_EVERY_S)


def _is_over(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _store(here: Destination, folder: Path, name: str) -> tuple[float, int]:
    """Seconds an association with three images takes, the median of some; how many images were not taken."""
    seconds, refused = [], 0
    for number in range(_STUDIES):
        images = mr_series((3, 32, 32), pixels=np.zeros((3, 32, 32)), study=f"{name} {number}")
        paths = [saved(image, folder) for image in images]
        started = time.monotonic()
        with open_storage(here, "PACS", {context_wish(path) for path in paths}) as sender:
            refused += sum(sender.send(path) != 0 for path in paths)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds), refused
