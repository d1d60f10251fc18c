"""Mutated association requests, messages and data sets: a status, an abort or a refusal with its reason, nothing else.

Data sets go to the parser of the receiving side and, if it lets them in, to the analysis' reader, in this process, and
streams of P-DATA PDUs to what takes C-STORE requests out of them.
Association requests and messages go to a node of its own process, over sockets, while a decent peer is served.
"""

from __future__ import annotations

import contextlib
import logging
import random
import resource
import socket
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from benchmarks.faults.mutation import mutated
from benchmarks.faults.streams import fuzz_streams
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, ReceiveError
from dicom_node.faults import type_and_place
from dicom_node.file_meta import file_meta_of
from dicom_node.identification import Arrival, identify
from dicom_node.peers import echo
from dicom_node.reader import LoadSettings, load_study
from dicom_node.spool import Spool
from tests.builders.command import COMMAND, environment, write_config
from tests.builders.datasets import colour_ultrasound, enhanced_mr, mr_series, radiograph, secondary_capture
from tests.builders.network import HOST, free_port
from tests.builders.pdus import (
    C_ECHO_RQ,
    C_STORE_RQ,
    MR,
    RELEASE_REQUEST,
    VERIFICATION,
    associate_request,
    p_data,
    request,
)

#: Of all inputs, data sets and streams; of the rest, half are association requests.
_DATA_SETS, _STREAMS = 0.6, 0.2
_CALLERS = 8
#: A decent peer calls after so many inputs.
_ECHO_EVERY = 200
_HANGS_AFTER_S = 30.0
#: What a node may grow by over inputs of which it keeps next to nothing; pynetdicom's threads and caches are in it.
_MOST_GROWTH_MB = 200.0


@dataclass(frozen=True)
class Fuzzed:
    """What became of so many inputs."""

    seed: int
    inputs: dict[str, int]
    #: Of data sets: refused at the door, read, or excluded with a reason; of streams: what the first message came to.
    fates: dict[str, int]
    #: Exceptions that nobody should see: type and place, how often, and the first input of each.
    escaped: dict[str, int]
    #: Connections on which the node neither answered nor hung up; calls of the decent peer that went wrong.
    hanging: int
    not_served: int
    tracebacks: int
    grown_mb: float
    #: Of this process, at most.
    parsing_mb: float
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing escaped, nobody waited, and memory is bounded."""
        bad = (self.hanging, self.not_served, self.tracebacks, len(self.escaped))
        return not any(bad) and self.grown_mb < _MOST_GROWTH_MB

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "good": self.is_good}

    def __str__(self) -> str:
        """One line."""
        inputs = ", ".join(f"{number} {kind}s" for kind, number in self.inputs.items())
        return (
            f"{'good' if self.is_good else 'BAD'}: seed {self.seed}, {inputs} in {self.seconds:.0f} s; "
            f"{len(self.escaped)} kinds of exceptions escaped {dict(self.escaped)}; {self.hanging} connections left "
            f"hanging, {self.not_served} decent calls not served, {self.tracebacks} tracebacks, "
            f"node grown by {self.grown_mb:.0f} MB"
        )


@dataclass(frozen=True)
class _Sound:
    """A data set as it should be."""

    dataset: bytes
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str


def run_fuzz(folder: Path, *, count: int, seed: int, tell: Callable[[str], None] = lambda _line: None) -> Fuzzed:
    """So many inputs, the same for the same seed."""
    warnings.simplefilter("ignore")  # pydicom's, over what it reads
    logging.disable(logging.CRITICAL)  # a line for each refused input is not what is looked for here
    try:
        return _run(folder, count, seed, tell)
    finally:
        logging.disable(logging.NOTSET)


def _run(folder: Path, count: int, seed: int, tell: Callable[[str], None]) -> Fuzzed:
    started = time.monotonic()
    chance = random.Random(seed)
    datasets = round(count * _DATA_SETS)
    streams = round(count * _STREAMS)
    requests = (count - datasets - streams) // 2
    messages = count - datasets - streams - requests
    fates: Counter[str] = Counter()
    escaped: Counter[str] = Counter()
    _fuzz_datasets(folder / "parsed", datasets, chance, fates, escaped)
    tell(f"{datasets} data sets parsed: {dict(fates)}")
    streamed, more = fuzz_streams(folder / "streamed", _sound_messages(), streams, chance)
    tell(f"{streams} streams taken apart: {dict(streamed)}")
    wire = _fuzz_wire(folder / "node", requests, messages, chance)
    return Fuzzed(
        seed=seed,
        inputs={"data set": datasets, "stream": streams, "association request": requests, "message": messages},
        fates=dict(fates + streamed),
        escaped=dict(escaped + more),
        hanging=wire.hanging,
        not_served=wire.not_served,
        tracebacks=wire.tracebacks,
        grown_mb=wire.grown_mb,
        parsing_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        seconds=time.monotonic() - started,
    )


def _corpus() -> tuple[_Sound, ...]:
    """Images of every kind, uncompressed, in each way to write them."""
    grey = np.arange(3 * 16 * 16).reshape(3, 16, 16)
    images = [
        mr_series((3, 16, 16), pixels=grey)[0],
        enhanced_mr((3, 16, 16), pixels=grey),
        radiograph((16, 16), pixels=grey[0]),
        colour_ultrasound((16, 16), pixels=np.zeros((16, 16, 3), np.uint8)),
        secondary_capture((16, 16), pixels=np.zeros((16, 16, 3), np.uint8)),
    ]
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    return tuple(_sound(image, syntax) for image in images for syntax in syntaxes)


def _sound(image: Dataset, syntax: str) -> _Sound:
    content = encode(image, syntax == ImplicitVRLittleEndian, True, syntax == DeflatedExplicitVRLittleEndian) or b""
    uids = (str(image.SOPClassUID), str(image.SOPInstanceUID), str(image.StudyInstanceUID))
    return _Sound(content, *uids, str(syntax))


def _fuzz_datasets(folder: Path, count: int, chance: random.Random, fates: Counter[str], escaped: Counter[str]) -> None:
    corpus = _corpus()
    contents = [each.dataset for each in corpus]
    spool = Spool(folder, minimum_free_bytes=1)
    for _ in range(count):
        sound = chance.choice(corpus)
        spoiled = mutated(sound.dataset, contents, chance)
        uids = (sound.sop_class_uid, sound.sop_instance_uid, sound.transfer_syntax_uid)
        try:
            fates[_fate_of(Arrival(spoiled, *uids, "FUZZ"), sound, spool)] += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            what = type_and_place(error)
            if what not in escaped:
                (folder / f"{what.replace(' ', '-').replace(':', '-')}.bin").write_bytes(spoiled)
            escaped[what] += 1


def _fate_of(arrival: Arrival, sound: _Sound, spool: Spool) -> str:
    try:
        address = identify(arrival)
    except ReceiveError as error:
        return f"0x{error.status:04X}"
    meta = file_meta_of(arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)
    path = spool.keep(address, arrival.dataset, meta).path
    try:
        loaded = load_study(sound.study_instance_uid, [path], LoadSettings())
    finally:
        path.unlink()
    return "read" if loaded.volumes else "excluded"


@dataclass(frozen=True)
class _Wire:
    hanging: int
    not_served: int
    tracebacks: int
    grown_mb: float


def _fuzz_wire(folder: Path, requests: int, messages: int, chance: random.Random) -> _Wire:
    config, port = write_config(folder, free_port())
    config.write_text(config.read_text().replace("from: [PACS]", "from: [PACS], artim_seconds: 5, idle_seconds: 5"))
    log = folder / "node.log"
    with log.open("wb") as errors:
        node = subprocess.Popen([COMMAND, "serve", "--config", config], stdout=errors, stderr=errors, env=environment())
        try:
            here = Destination("node", "AINODE", HOST, port)
            await_node(here, node)
            return _feed(here, node, log, [*_requests(requests, chance), *_messages(messages, chance)])
        finally:
            node.terminate()
            node.wait(60)


def _requests(count: int, chance: random.Random) -> list[tuple[bytes, ...]]:
    asked = associate_request("PACS", "AINODE")
    return [(mutated(asked, [asked], chance),) for _ in range(count)]


def _messages(count: int, chance: random.Random) -> list[tuple[bytes, ...]]:
    asked, sound = associate_request("PACS", "AINODE"), _sound_messages()
    return [(asked, mutated(chance.choice(sound), sound, chance)) for _ in range(count)]


def _sound_messages() -> list[bytes]:
    """What an association carries when all is well, and a little more."""
    image = mr_series((1, 16, 16), pixels=np.zeros((1, 16, 16)))[0]
    content = encode(image, False, True) or b""
    command = request(C_STORE_RQ, MR, str(image.SOPInstanceUID), data=True)
    half = len(content) // 2
    return [
        p_data(command) + p_data(b"\x00" + content[:half]) + p_data(b"\x02" + content[half:]),
        p_data(command, b"\x02" + content),
        p_data(request(C_ECHO_RQ, VERIFICATION), context_id=3),
        p_data(request(0x0FFF, MR)) + RELEASE_REQUEST,
        p_data(request(0x0020, MR, data=True), b"\x02" + content[:40]),
    ]


def _feed(here: Destination, node: subprocess.Popen[bytes], log: Path, inputs: Sequence[tuple[bytes, ...]]) -> _Wire:
    process = psutil.Process(node.pid)
    before = process.memory_info().rss
    hanging = not_served = 0
    with ThreadPoolExecutor(_CALLERS) as callers:
        for start in range(0, len(inputs), _ECHO_EVERY):
            batch = inputs[start : start + _ECHO_EVERY]
            hanging += sum(callers.map(lambda sent: not _is_ended(here.port, sent), batch))
            not_served += not _is_served(here)
    grown = (process.memory_info().rss - before) / (1 << 20)
    return _Wire(hanging, not_served, log.read_text(encoding="utf-8").count("Traceback"), grown)


def _is_ended(port: int, sent: Sequence[bytes]) -> bool:
    """Whether the node hangs up in the end, whatever it was sent; what is sent next waits for an answer to the last."""
    try:
        with socket.create_connection((HOST, port), _HANGS_AFTER_S) as connection:
            for number, part in enumerate(sent):
                if number and not connection.recv(65536):
                    return True
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    except TimeoutError:
        return False
    except OSError:
        return True  # it hung up while it was spoken to
    return True


def _is_served(here: Destination) -> bool:
    with contextlib.suppress(DeliveryError):
        echo(here, "PACS")
        return True
    return False


def await_node(here: Destination, node: subprocess.Popen[bytes]) -> None:
    """Until it answers; the benchmark ends where it does not."""
    until = time.monotonic() + 120
    while not _is_served(here):
        if time.monotonic() > until or node.poll() is not None:
            sys.exit("the node does not come up")
