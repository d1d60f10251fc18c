"""Sending beside DCMTK's storescu: `python -m benchmarks.send [--objects N] [--rounds N] [--json FILE]`.

Both send the same folder to one `storescp --ignore`, which takes the objects and keeps none, so that what differs is
the sender. All of DCMTK runs with TCP_NODELAY=1: without it both its ends wait for each other, and the comparison is
false. Each turn sends the folder, then one object of it; what starting a process, opening the association and releasing
it cost is in both, and subtracted alike for both senders: images/s is of the others alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.rounds import Ratio, in_rounds, machine, options, report
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError
from dicom_node.peers import echo
from dicom_node.sending import send_folder
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, free_port, saved

_GOAL = 0.7
_PDU_LENGTHS = (131072, 16384)
#: Pixels of one object, 16 bit each: half a megabyte.
_SHAPE = (1, 512, 512)
_STARTED_AFTER_S = 10.0
_NO_NAGLE = {**os.environ, "TCP_NODELAY": "1"}

Sender = Callable[[Path, int], None]


def _dcmtk(tool: str) -> str:
    """Where the system has it: in an environment of Python, pynetdicom's tools have the same names."""
    found = shutil.which(tool, path=os.defpath)
    if found is None:
        raise SystemExit(f"{tool} is not installed (apt-get install dcmtk)")
    return found


def _folder(folder: Path, objects: int) -> Path:
    """So many objects with pixels of their own instance UID."""
    pixels = np.random.default_rng(1).integers(0, 4096, _SHAPE, dtype=np.uint16)
    [image] = mr_series(_SHAPE, pixels=pixels)
    for number in range(objects):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"2.25.{1000 + number}"
        saved(image, folder)
    return folder


@contextmanager
def _peer(pdu_length: int) -> Iterator[int]:
    """A storescp that keeps nothing; its port."""
    port = free_port()
    command = [_dcmtk("storescp"), "--ignore", "-pdu", str(pdu_length), str(port)]
    with subprocess.Popen(command, env=_NO_NAGLE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield port
        finally:
            process.terminate()


def _await(port: int) -> None:
    give_up = time.monotonic() + _STARTED_AFTER_S
    while True:
        try:
            return echo(Destination("storescp", "STORESCP", HOST, port), "NODE")
        except DeliveryError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def _by_node(path: Path, port: int) -> None:
    """As `dicom-node send` does, in this process."""
    results = list(send_folder(path, Destination("storescp", "STORESCP", HOST, port), "NODE"))
    if not all(result.arrived for result in results):
        raise RuntimeError(next(result.problem for result in results if not result.arrived))


def _by_storescu(path: Path, port: int) -> None:
    """A process of its own, start included."""
    command = [_dcmtk("storescu"), "-q", "-R", "+sd", "-aec", "STORESCP", HOST, str(port), str(path)]
    subprocess.run(command, env=_NO_NAGLE, check=True)


def _images_per_s(sender: Sender, folder: Path, single: Path, port: int) -> float:
    return (len(list(folder.iterdir())) - 1) / (_seconds(sender, folder, port) - _seconds(sender, single, port))


def _seconds(sender: Sender, path: Path, port: int) -> float:
    started = time.perf_counter()
    sender(path, port)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, and leave a JSON file if asked."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--objects", type=int, default=300, help="how many are sent each turn; left out: 300")
    wanted, on = parser.parse_args(), machine()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder, single = _folder(root / "all", wanted.objects), _folder(root / "one", 1)
        cases: dict[str, Callable[[], float]] = {}
        for length in _PDU_LENGTHS:
            port = stack.enter_context(_peer(length))
            for name, sender in (("this node", _by_node), ("storescu", _by_storescu)):
                cases[f"{name}, PDU {length}"] = partial(_images_per_s, sender, folder, single, port)
        figures = in_rounds(cases, wanted.rounds)
    ratios = [
        Ratio(
            f"this node / storescu, PDU {length}",
            figures[f"this node, PDU {length}"].median / figures[f"storescu, PDU {length}"].median,
            _GOAL,
        )
        for length in _PDU_LENGTHS
    ]
    report("send", "images/s", figures, ratios, on=on, file=wanted.json)


if __name__ == "__main__":
    main()
