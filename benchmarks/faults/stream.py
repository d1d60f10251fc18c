"""A sender and a PACS that may be killed, each a process: `python -m benchmarks.faults.stream sender|pacs ...`.

The sender writes down each instance that was answered 0x0000, durably, before it goes on; killed and started again it
sends what is not written down. The PACS is the embedded archive, on a folder.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from dicom_node.archive import Archive
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError
from dicom_node.storage_scu import context_wish, open_storage
from tests.builders.datasets import mr_series
from tests.builders.network import HOST

#: Images of one study: few, so that a study takes little.
IMAGES = 3
_SHAPE = (IMAGES, 64, 64)
_AGAIN_AFTER_S = 0.2


def study(seed: int, number: int) -> list[Dataset]:
    """The images of that study of the stream: the same each time."""
    return mr_series(_SHAPE, pixels=_head(seed, number), study=f"{seed}-{number}", PatientID=f"STREAM-{number}")


def _head(seed: int, number: int) -> NDArray[np.uint16]:
    """(slice, row, column): something bright in something round, good enough to be looked at."""
    rng = np.random.default_rng([seed, number])
    _, row, column = np.ogrid[: _SHAPE[0], : _SHAPE[1], : _SHAPE[2]]
    radius = ((row - 32) / 26) ** 2 + ((column - 32) / 22) ** 2
    centre = rng.uniform(22, 42, 2)
    lesion = 300 * np.exp(-(((row - centre[0]) / 5) ** 2) - ((column - centre[1]) / 5) ** 2)
    inside = np.sqrt(np.clip(1 - radius, 0, 1)) * 600 + (lesion + rng.normal(0, 8, _SHAPE)) * (radius < 1)
    return np.clip(inside, 0, 1000).astype(np.uint16)


def acknowledged(folder: Path) -> dict[str, str]:
    """SOP Instance UID -> digest of the data set, of everything that was answered with success so far."""
    log = folder / "acknowledged.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    # the sender may have been killed inside its last line
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    return {each["sop_instance_uid"]: each["digest"] for each in whole}


def send_stream(folder: Path, node: Destination, seed: int, pause_s: float) -> None:
    """One study after the other, from the first that is not acknowledged, until there is a file `stop` in `folder`."""
    done = acknowledged(folder)
    with (folder / "acknowledged.jsonl").open("a", encoding="utf-8") as log:
        for number in itertools.count():
            images = [each for each in study(seed, number) if str(each.SOPInstanceUID) not in done]
            while images:
                _send(images, node, folder, log)
                if images:
                    threading.Event().wait(_AGAIN_AFTER_S)
            if (folder / "stop").exists():
                return
            if number * IMAGES >= len(done):  # not while it catches up with what it sent before it was killed
                threading.Event().wait(pause_s)


def _send(images: list[Dataset], node: Destination, folder: Path, log: io.TextIOBase) -> None:
    """Send from the first, over one association; those that are acknowledged leave the list."""
    paths = [folder / f"sending-{place}.dcm" for place in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        dcmwrite(path, image, enforce_file_format=True)
    try:
        with open_storage(node, "PACS", {context_wish(path) for path in paths}) as sender:
            for path, image in zip(paths, list(images), strict=True):
                if sender.send(path) == 0:
                    told = {"sop_instance_uid": str(image.SOPInstanceUID), "digest": digest_of(path)}
                    log.write(json.dumps(told) + "\n")
                    log.flush()
                    os.fsync(log.fileno())
                    images.remove(image)
    except DeliveryError:
        return  # the node is away, or full: again later


def digest_of(path: Path) -> str:
    """The sha256 of what follows the file meta information (PS3.10 7.1)."""
    content = path.read_bytes()
    return hashlib.sha256(content[144 + int.from_bytes(content[140:144], "little") :]).hexdigest()


def keep(folder: Path, port: int) -> None:
    """The PACS, until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    archive = Archive("PACS", HOST, port, folder)
    archive.start()
    signal.sigwait([signal.SIGTERM])
    archive.stop()


def main() -> None:
    """One of the two."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("part", choices=("sender", "pacs"))
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("port", type=int, help="of the node, or of the PACS itself")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--pause", type=float, default=0.3)
    wanted = arguments.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    if wanted.part == "pacs":
        keep(wanted.folder, wanted.port)
    else:
        send_stream(wanted.folder, Destination("node", "AINODE", HOST, wanted.port), wanted.seed, wanted.pause)


if __name__ == "__main__":
    main()
