"""What stands before the data set in the files of the spool: this node writes it, and finds its way behind it again."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO

from dicom_node.part_file import UNSEALED
from sr_writer.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = b"\0" * 128 + b"DICM"
#: Where the group length of the file meta information stands in a file (PS3.10 7.1), and where its count begins.
_GROUP_LENGTH_AT = len(_PREAMBLE) + 8
_META_FROM = _GROUP_LENGTH_AT + 4

#: Elements in Explicit VR Little Endian: with a length of two bytes, and with one of four behind two that are reserved.
_SHORT, _OB = struct.Struct("<HH2sH"), struct.Struct("<HH2s2xL")
_META_GROUP, _META_VERSION = 0x0002, b"\0\1"


def file_meta_of(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: str = "") -> bytes:
    """All that stands before a received data set in its file (PS3.10 7.1), not sealed yet; this node writes it.

    `sender` is an AE title, empty where it came in another way.
    """
    uids = ((0x0002, sop_class_uid), (0x0003, sop_instance_uid), (0x0010, transfer_syntax_uid))
    elements = [_OB.pack(_META_GROUP, 0x0001, b"OB", len(_META_VERSION)) + _META_VERSION]
    elements += [_text_element(number, b"UI", uid, b"\0") for number, uid in uids]
    elements += [
        _text_element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
        _text_element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        *([_text_element(0x0017, b"AE", sender, b" ")] if sender else []),
        _text_element(0x0100, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
        _OB.pack(_META_GROUP, 0x0102, b"OB", len(UNSEALED)) + UNSEALED,
    ]
    content = b"".join(elements)
    return _PREAMBLE + _SHORT.pack(_META_GROUP, 0x0000, b"UL", 4) + struct.pack("<L", len(content)) + content


def _text_element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    value += padding * (len(value) % 2)
    return _SHORT.pack(_META_GROUP, number, vr, len(value)) + value


def dataset_of(path: Path) -> bytes:
    """The data set in a file this spool wrote, as it came."""
    with path.open("rb") as file:
        _skip_meta(file)
        return file.read()


def header_bytes_of(path: Path) -> int:
    """Where the data set begins in a file this spool wrote, whole or not; of a shorter one, some number."""
    with path.open("rb") as file:
        _skip_meta(file)
        return file.tell()


def digest_of(path: Path) -> str:
    """The hex sha256 of the data set in a file this spool wrote."""
    with path.open("rb") as file:
        _skip_meta(file)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _skip_meta(file: BinaryIO) -> None:
    file.seek(_GROUP_LENGTH_AT)
    file.seek(_META_FROM + int.from_bytes(file.read(4), "little"))
