"""Values of elements as pydicom converts them, where there is no doubt how; elsewhere ValueError, and pydicom converts.

pydicom asks of each value what it may be; most are a word of ASCII or a number, and one knows by the first look.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from pydicom.dataelem import empty_value_for_VR

#: Pad text (PS3.5 6.2), and are not part of it.
_PADDING = "\0 "
#: What a character set may make something else of, or what parts values, beside all that cannot be printed.
_DOUBTFUL = frozenset("\\~=")
_LARGEST_INTEGER_STRING = 2**31


def converted(vr: bytes, value: bytes) -> Any:  # noqa: ANN401 (what a value is depends on its VR)
    """The value, or a tuple where there are several. Raises ValueError where pydicom must be asked."""
    if not value:
        return empty_value_for_VR(vr.decode("ascii"))
    convert = _CONVERTERS.get(vr)
    if convert is None:
        raise ValueError
    return convert(value)


def _words(value: bytes) -> str | tuple[str, ...]:
    """AS, CS, DA, DT, TM."""
    text = value.decode("ascii").rstrip(_PADDING)
    return tuple(text.split("\\")) if "\\" in text else text


def _uid(value: bytes) -> str:
    text = value.decode("ascii").rstrip(_PADDING)
    if "\\" in text:
        raise ValueError
    return text.strip()


def _text(value: bytes) -> str:
    """LO, PN, SH, and longer ones: text in a character set, as long as it is the same in all."""
    text = value.decode("ascii").rstrip(_PADDING)
    if not text.isprintable() or not _DOUBTFUL.isdisjoint(text):
        raise ValueError
    return text


def _decimals(value: bytes) -> float | tuple[float, ...]:
    items = value.decode("ascii").strip().rstrip(_PADDING).split("\\")
    return float(items[0]) if len(items) == 1 else tuple(map(float, items))


def _integers(value: bytes) -> int | tuple[int, ...]:
    numbers = tuple(map(int, value.decode("ascii").rstrip(_PADDING).split("\\")))
    if max(map(abs, numbers)) >= _LARGEST_INTEGER_STRING:
        raise ValueError
    return numbers[0] if len(numbers) == 1 else numbers


def _binary(kind: str) -> Callable[[bytes], Any]:
    size, one = struct.calcsize(f"<{kind}"), struct.Struct(f"<{kind}")

    def numbers(value: bytes) -> Any:  # noqa: ANN401
        if len(value) == size:
            return one.unpack(value)[0]
        count, rest = divmod(len(value), size)
        if rest:
            raise ValueError
        return struct.unpack(f"<{count}{kind}", value)

    return numbers


_CONVERTERS: dict[bytes, Callable[[bytes], Any]] = {
    **dict.fromkeys((b"AS", b"CS", b"DA", b"DT", b"TM"), _words),
    **dict.fromkeys((b"LO", b"LT", b"PN", b"SH", b"ST", b"UT"), _text),
    b"UI": _uid,
    b"DS": _decimals,
    b"IS": _integers,
    **{
        vr: _binary(kind)
        for vr, kind in ((b"US", "H"), (b"SS", "h"), (b"UL", "L"), (b"SL", "l"), (b"FL", "f"), (b"FD", "d"))
    },
}
