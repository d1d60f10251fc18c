"""The command sets of C-STORE (PS3.7 9.3.1) as values and as bytes; every other one is left to pynetdicom.

A command set is always Implicit VR Little Endian (PS3.7 6.3.1), and nothing in it but numbers and UIDs matters here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_WITH_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_MEDIUM = 0x0000
_SUCCESS = 0x0000
#: Elements of group 0000 (PS3.7 E.1).
_GROUP_LENGTH = 0x0000
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
_PRIORITY = 0x0700
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_SOP_INSTANCE_UID = 0x1000


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """A C-STORE request with a data set to follow."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    #: Priority (0000,0700): 0 medium, 1 high, 2 low; medium where it is missing.
    priority: int


def store_command_in(command: bytes) -> StoreCommand | None:
    """The C-STORE request that a command set is; None when it is anything else, or not whole."""
    try:
        elements = _elements_of(command)
        if _number(elements[_COMMAND_FIELD]) != _C_STORE_RQ or _number(elements[_DATA_SET_TYPE]) == _NO_DATA_SET:
            return None
        return StoreCommand(
            _number(elements[_MESSAGE_ID]),
            _uid(elements[_AFFECTED_SOP_CLASS_UID]),
            _uid(elements[_AFFECTED_SOP_INSTANCE_UID]),
            _number(elements[_PRIORITY]) if _PRIORITY in elements else 0,
        )
    except (struct.error, LookupError, ValueError):
        return None


def store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """The command set of a C-STORE request (PS3.7 9.3.1.1) at medium priority, with a data set to follow."""
    return _command_set(
        _encoded(_AFFECTED_SOP_CLASS_UID, _padded(sop_class_uid, b"\0")),
        _encoded(_COMMAND_FIELD, _NUMBER.pack(_C_STORE_RQ)),
        _encoded(_MESSAGE_ID, _NUMBER.pack(message_id)),
        _encoded(_PRIORITY, _NUMBER.pack(_MEDIUM)),
        _encoded(_DATA_SET_TYPE, _NUMBER.pack(_WITH_DATA_SET)),
        _encoded(_AFFECTED_SOP_INSTANCE_UID, _padded(sop_instance_uid, b"\0")),
    )


def store_response(request: StoreCommand, status: int, comment: str = "") -> bytes:
    """The command set of a C-STORE response (PS3.7 9.3.1.2); of the comment no more than LO holds may be given."""
    return _command_set(
        _encoded(_AFFECTED_SOP_CLASS_UID, _padded(request.sop_class_uid, b"\0")),
        _encoded(_COMMAND_FIELD, _NUMBER.pack(_C_STORE_RSP)),
        _encoded(_MESSAGE_ID_BEING_RESPONDED_TO, _NUMBER.pack(request.message_id)),
        _encoded(_DATA_SET_TYPE, _NUMBER.pack(_NO_DATA_SET)),
        _encoded(_STATUS, _NUMBER.pack(status)),
        _encoded(_ERROR_COMMENT, _padded(comment, b" ")) if comment else b"",
        _encoded(_AFFECTED_SOP_INSTANCE_UID, _padded(request.sop_instance_uid, b"\0")),
    )


def is_success(command: bytes, message_id: int) -> bool:
    """Whether it is the response to that request, and says that all is well; nothing follows from False."""
    try:
        elements = _elements_of(command)
        numbers = (_COMMAND_FIELD, _MESSAGE_ID_BEING_RESPONDED_TO, _STATUS)
        return [_number(elements[each]) for each in numbers] == [_C_STORE_RSP, message_id, _SUCCESS]
    except (struct.error, LookupError, ValueError):
        return False


def _command_set(*elements: bytes) -> bytes:
    """Elements in the order of their tags, behind the length of their group (PS3.7 6.3.1)."""
    content = b"".join(elements)
    return _encoded(_GROUP_LENGTH, struct.pack("<L", len(content))) + content


def _elements_of(command: bytes) -> dict[int, bytes]:
    """Element number -> value. Raises struct.error or ValueError for what is no command set."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        value = command[at : at + length]
        if group or len(value) != length:
            raise ValueError("no command set")
        found[element] = value
        at += length
    return found


def _number(value: bytes) -> int:
    return int(_NUMBER.unpack(value)[0])


def _uid(value: bytes) -> str:
    """Without its padding, which some senders make of spaces. Raises ValueError for what is not ASCII."""
    return value.rstrip(b"\0 ").decode("ascii")


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding if len(value) % 2 else value


def _encoded(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, element, len(value)) + value
