"""The elements of a Little Endian data set as nearly all files have them, found in one pass; nothing is converted.

Whatever is any different is refused: pydicom reads it, or says what is wrong with it. What is accepted here has one
meaning only, so that pydicom finds the same elements in it.
"""

from __future__ import annotations

import struct
from collections.abc import Container

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

_IMPLICIT, _EXPLICIT, _LENGTH = struct.Struct("<HHL"), struct.Struct("<HH2sH"), struct.Struct("<L")
#: Value representations whose length has four bytes (PS3.5 7.1.2), and the others.
_LONG = frozenset(vr.encode("ascii") for vr in EXPLICIT_VR_LENGTH_32)
_SHORT = frozenset(vr.encode("ascii") for vr in VR if len(vr) == 2) - _LONG
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET = 0x00080005
#: Sequences within sequences; deeper ones are for pydicom.
_DEEPEST = 8

#: Where file meta information begins (PS3.10 7.1): its length, in an element of twelve bytes, which count no more.
_META_AT, _LENGTH_BYTES = 132, 12
_PREFIX, _META_GROUP = b"DICM", b"\2\0"
_META_LENGTH = 0x00020000
_BEHIND_META = range(0x00030000, 1 << 32)

#: Tag -> value representation (empty where it is implicit), where the value begins, its length.
Elements = dict[int, tuple[bytes, int, int]]


class NotPlain(Exception):
    """To be read with more care."""


class NotWhole(NotPlain):
    """Plain as far as it is there."""


class PlainElements:
    """A data set in memory."""

    def __init__(self, content: bytes, *, is_implicit_vr: bool) -> None:
        """`content`: as far as it is there."""
        self._content = content
        self._is_implicit_vr = is_implicit_vr

    def before(self, end: Container[int], wanted: Container[int], at: int, stop: int = -1) -> tuple[Elements, int]:
        """The wanted elements between a place and the first of `end`, or the place `stop`; and where that is.

        Raises NotPlain where elements are not in ascending order (PS3.5 7.1) or of unknown value representation, and
        where one that is wanted has no length; NotWhole where the content ends before.
        """
        found: Elements = {}
        previous = -1
        while at != stop:
            start = at
            tag, vr, at, length = self._head(at)
            if tag <= previous or tag >= _ITEM:
                raise NotPlain
            if tag in end:
                return found, start
            previous = tag
            if length == _UNDEFINED_LENGTH:
                if tag in wanted:
                    raise NotPlain
                at = self._behind_items(tag, vr, at, _DEEPEST)
                continue
            if tag in wanted:
                found[tag] = vr, at, length
            at += length
        return found, at

    def _head(self, at: int) -> tuple[int, bytes, int, int]:
        """Tag, value representation, where the value begins and its length, of the element there."""
        try:
            if self._is_implicit_vr:
                group, element, length = _IMPLICIT.unpack_from(self._content, at)
                return group << 16 | element, b"", at + 8, length
            group, element, vr, length = _EXPLICIT.unpack_from(self._content, at)
            if vr in _SHORT:
                return group << 16 | element, vr, at + 8, length
            if vr not in _LONG:
                raise NotPlain
            [length] = _LENGTH.unpack_from(self._content, at + 8)
        except struct.error as error:
            raise NotWhole from error
        return group << 16 | element, vr, at + 12, length

    def _behind_items(self, tag: int, vr: bytes, at: int, depth: int) -> int:
        """Where a sequence of undefined length ends (PS3.5 7.5); what is nested in it is looked at, as pydicom does."""
        if not depth or not _is_sequence(tag, vr):
            raise NotPlain
        while True:
            tag, length = self._item(at)
            at += 8
            if tag == _SEQUENCE_END and length == 0:
                return at
            if tag != _ITEM:
                raise NotPlain
            at = self._behind_item(at, length, depth)

    def _item(self, at: int) -> tuple[int, int]:
        try:
            group, element, length = _IMPLICIT.unpack_from(self._content, at)
        except struct.error as error:
            raise NotWhole from error
        return group << 16 | element, length

    def _behind_item(self, at: int, length: int, depth: int) -> int:
        """Where an item ends whose content begins there."""
        end = None if length == _UNDEFINED_LENGTH else at + length
        while at != end:
            if end is None and self._item(at) == (_ITEM_END, 0):
                return at + 8
            tag, vr, at, length = self._head(at)
            if tag >= _ITEM or tag == _CHARACTER_SET:
                raise NotPlain
            at = self._behind_items(tag, vr, at, depth - 1) if length == _UNDEFINED_LENGTH else at + length
            if end is not None and at > end:
                raise NotPlain
        return at


def plain_meta(content: bytes, wanted: Container[int]) -> tuple[Elements, int]:
    """The wanted elements of the file meta information at the beginning of a file, and where its data set begins.

    Raises NotPlain, also where it does not end where its length says: some writers count wrongly. Raises NotWhole.
    """
    if content[_META_AT - len(_PREFIX) : _META_AT] != _PREFIX:
        raise NotPlain
    meta, stop = PlainElements(content, is_implicit_vr=False), _META_AT + _LENGTH_BYTES
    if len(content) < stop:
        raise NotWhole
    found, _ = meta.before(_BEHIND_META, (_META_LENGTH,), _META_AT, stop)
    if found != {_META_LENGTH: (b"UL", stop - 4, 4)}:
        raise NotPlain
    stop += int.from_bytes(content[stop - 4 : stop], "little")
    found, end = meta.before(_BEHIND_META, wanted, _META_AT, stop)
    if end != stop or content[stop : stop + len(_META_GROUP)] == _META_GROUP:
        raise NotPlain
    return found, stop


def _is_sequence(tag: int, vr: bytes) -> bool:
    """Whether an element of undefined length is a sequence."""
    if vr:
        return vr == b"SQ"
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
