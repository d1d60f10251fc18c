"""Mutated P-DATA streams, cut at random, straight into what takes C-STORE requests out of them, without a socket."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.mutation import mutated
from dicom_node.domain.study import InstanceKind
from dicom_node.faults import type_and_place
from dicom_node.part_file import PartFile
from dicom_node.pdata import InvalidPduError, PdataReader
from dicom_node.receiving import Receiver
from dicom_node.spool import Spool
from dicom_node.store_commands import StoreCommand
from dicom_node.store_reception import StoreReception, StoreRequest
from dicom_node.store_stream import Answer, StoreStream
from tests.builders.network import MemoryRegister

_MOST_BYTES = 1 << 20
#: PS3.7 C.4: Status (0000,0900) of a response, as it is encoded.
_STATUS = re.compile(rb"\0\0\0\x09\x02\0\0\0(..)", re.DOTALL)


def fuzz_streams(folder: Path, sound: Sequence[bytes], count: int, chance: random.Random) -> tuple[Counter[str], ...]:
    """The fates of so many streams, and exceptions that escaped, or files that were left."""
    fates: Counter[str] = Counter()
    escaped: Counter[str] = Counter()
    begin = _receptions(folder)
    for _ in range(count):
        stream = mutated(chance.choice(sound), sound, chance)
        stores = StoreStream(begin)
        try:
            fates[_fate_of(stream, stores, chance)] += 1
        except InvalidPduError:
            fates["invalid PDU"] += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            escaped[type_and_place(error)] += 1
        stores.abandon()
        if any((folder / "incoming").iterdir()):
            escaped["a part file was left"] += 1
    return fates, escaped


@dataclass(frozen=True)
class _Keeper:
    """Records at once."""

    receiver: Receiver

    def begin(self, request: StoreRequest) -> PartFile:
        return self.receiver.begin(request)

    def finish(self, part: PartFile, request: StoreRequest) -> None:
        accepted = [self.receiver.accept(part, request, now=1.0)]
        self.receiver.record(accepted)
        self.receiver.let_go(accepted)


def _receptions(folder: Path) -> Callable[[StoreCommand, int], StoreReception]:
    keeper = _Keeper(Receiver(Spool(folder, minimum_free_bytes=1), MemoryRegister(), lambda *_: InstanceKind.IMAGE))

    def begin(command: StoreCommand, _context_id: int) -> StoreReception:
        return StoreReception(StoreRequest(command, "1.2.840.10008.1.2.1", "FUZZ"), keeper, _MOST_BYTES)

    return begin


def _fate_of(stream: bytes, stores: StoreStream, chance: random.Random) -> str:
    """Of the first message that ends. Raises RuntimeError for a fault of the node that only the peer would hear of."""
    reader, unread, rest = PdataReader(), b"", stream
    while rest:
        size = chance.choice((1, 7, 100, 4096))
        unread, rest = unread + rest[:size], rest[size:]
        while True:
            if reader.is_between_pdus and unread[:1] not in (b"", b"\x04"):
                return "another PDU"
            used, piece = reader.read(memoryview(unread))
            outcome = None if piece is None else stores.take(piece)
            unread = unread[used:]
            if isinstance(outcome, Answer):
                if b"fault of this node" in outcome.command:
                    raise RuntimeError(outcome.command)
                [status] = _STATUS.findall(outcome.command)
                return f"0x{int.from_bytes(status, 'little'):04X}"
            if outcome is not None:
                return "another service"
            if piece is None:
                break
    return "unfinished"
