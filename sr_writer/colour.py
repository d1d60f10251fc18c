"""The colours of what this node draws, and their space: sRGB, as an ICC profile (PS3.3 C.11.15)."""

from __future__ import annotations

import io

from PIL import ImageCms

Colour = tuple[int, int, int]
#: (red, green, blue) in turn; they stand out from grey and from each other.
COLOURS: tuple[Colour, ...] = (
    (255, 80, 40),
    (40, 200, 255),
    (255, 210, 0),
    (120, 255, 80),
    (255, 90, 220),
    (150, 130, 255),
)
#: A presentation state wants the profile of an input device (C.11.15.1.1), where Little CMS makes that of a display.
_DEVICE_CLASS, _INPUT = slice(12, 16), b"scnr"
_ALLOWED = frozenset({"scnr", "spac"})
#: Where a profile's header (ISO 15076-1, 7.2) holds the moment it was made, and what it is replaced by.
_CREATED = slice(24, 36)
_EPOCH = bytes.fromhex("07d000010001000000000000")  # 2000-01-01 00:00:00


def colour_of(number: int) -> Colour:
    """Of the n-th finding, counted from 0."""
    return COLOURS[number % len(COLOURS)]


def profile_of(stated: bytes | None) -> bytes:
    """The ICC profile that an image states, if it is one that a presentation state may have; else sRGB, the same bytes
    every time."""
    if stated:
        try:
            kind = ImageCms.ImageCmsProfile(io.BytesIO(stated)).profile.device_class.strip()
        except OSError:  # what Pillow raises over bytes that are no profile
            kind = ""
        if kind in _ALLOWED:
            return stated
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    content[_CREATED] = _EPOCH
    content[_DEVICE_CLASS] = _INPUT
    return bytes(content)
