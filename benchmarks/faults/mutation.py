"""Valid bytes made invalid, by a seed: bits, lengths, cuts, repetitions, absurd nesting."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
#: Items in items without an end, little endian (PS3.5 7.5).
_ITEM_IN_SEQUENCE = bytes.fromhex("08004011") + b"SQ\0\0" + b"\xff" * 4 + bytes.fromhex("feff00e0") + b"\xff" * 4
_DEEP = 3000


def mutated(sound: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """One to eight changes of `sound`; some take bytes of another of the corpus."""
    spoiled = bytearray(sound)
    for _ in range(chance.randint(1, 8)):
        change = chance.choice(_CHANGES)
        change(spoiled, corpus, chance)
    return bytes(spoiled)


def _flip(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    form = chance.choice(("<H", ">H", "<L", ">L"))
    size = struct.calcsize(form)
    if len(data) >= size:
        value = chance.choice(_EXTREMES) & ((1 << 8 * size) - 1)
        struct.pack_into(form, data, chance.randrange(len(data) - size + 1), value)


def _cut(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.choice((1, 2, 4, 16, 256, len(data)))]


def _repeat(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    at, size = chance.randrange(len(data) + 1), chance.choice((1, 4, 8, 64, 512))
    data[at:at] = data[at : at + size] * chance.choice((1, 2, 20))


def _scatter(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 100)))


def _splice(data: bytearray, corpus: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(corpus)
    at, start = chance.randrange(len(data) + 1), chance.randrange(len(other) + 1)
    data[at : at + 64] = other[start : start + chance.choice((8, 64, 1024))]


def _nest(data: bytearray, _corpus: Sequence[bytes], chance: random.Random) -> None:
    if chance.random() < 0.1:  # each costs as much as many others
        at = chance.choice((0, chance.randrange(len(data) + 1)))
        data[at:at] = _ITEM_IN_SEQUENCE * chance.choice((3, 100, _DEEP))


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip, _flip, _overwrite, _overwrite, _cut, _repeat, _scatter, _splice, _nest,
)  # fmt: skip
