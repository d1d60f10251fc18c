"""The beginning of a data set as nearly all senders write it, read in one pass; pydicom reads what is any different.

Its reader takes ten times as long, and holds up all other associations meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from dataclasses import dataclass

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

_IMPLICIT, _EXPLICIT, _LENGTH = struct.Struct("<HHL"), struct.Struct("<HH2sH"), struct.Struct("<L")
#: Value representations whose length has four bytes (PS3.5 7.1.2), and the others.
_LONG = frozenset(vr.encode("ascii") for vr in EXPLICIT_VR_LENGTH_32)
_SHORT = frozenset(vr.encode("ascii") for vr in VR if len(vr) == 2) - _LONG
_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tags whose values are looked for, and where to stop."""

    tags: Container[int]
    #: Behind this one nothing of undefined length need be read.
    last_needed: int
    #: Behind this one nothing need be read.
    last: int


def plain_head(content: bytes, wanted: Wanted, *, is_implicit_vr: bool) -> dict[int, bytes] | None:
    """Tag -> value of the wanted elements at the beginning of a Little Endian data set.

    None when it is to be read with more care: elements that are not in ascending order (PS3.5 7.1), of unknown value
    representation, of undefined length among those that are needed, or not whole in `content`.
    """
    found: dict[int, bytes] = {}
    at, previous, size = 0, -1, len(content)
    while at + _EXPLICIT.size <= size:
        if is_implicit_vr:
            group, element, length = _IMPLICIT.unpack_from(content, at)
            at += _IMPLICIT.size
        else:
            group, element, vr, length = _EXPLICIT.unpack_from(content, at)
            at += _EXPLICIT.size
            if vr not in _SHORT:
                if vr not in _LONG or at + _LENGTH.size > size:
                    return None
                [length] = _LENGTH.unpack_from(content, at)
                at += _LENGTH.size
        tag = group << 16 | element
        if tag <= previous:
            return None
        if tag > wanted.last or (length == _UNDEFINED_LENGTH and tag > wanted.last_needed):
            return found
        if at + length > size:
            return None
        if tag in wanted.tags:
            found[tag] = content[at : at + length]
        at, previous = at + length, tag
    return None
