"""Protocol data units (PS3.8 9.3) as bytes, as a caller sends them to the node."""

from __future__ import annotations

import socket
import struct

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from tests.builders.network import HOST

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
C_STORE_RQ, C_ECHO_RQ = 0x0001, 0x0030
_NO_DATA_SET, _DATA_SET = 0x0101, 0x0001
RELEASE_REQUEST = struct.pack(">BBLL", 5, 0, 4, 0)


def associate_request(calling: str = "TESTER", called: str = "NODE") -> bytes:
    """An A-ASSOCIATE-RQ for MR images in context 1 and C-ECHO in context 3, as another node of its kind sends it."""
    contexts = [build_context(MR, EXPLICIT), build_context(VERIFICATION, EXPLICIT)]
    with socket.create_server((HOST, 0)) as recorder:
        entity = AE(ae_title=calling)
        entity.acse_timeout = 0.1
        association = entity.associate(*recorder.getsockname(), contexts=contexts, ae_title=called)
        assert not association.is_established
        connection, _ = recorder.accept()
        with connection:
            said = connection.recv(65536)  # and an A-ABORT after it
            return said[: 6 + struct.unpack_from(">L", said, 2)[0]]


def p_data(*fragments: bytes, context_id: int = 1) -> bytes:
    """A P-DATA-TF (PS3.8 9.3.5) of fragments that begin with their Message Control Header."""
    items = b"".join(struct.pack(">LB", len(each) + 1, context_id) + each for each in fragments)
    return struct.pack(">BBL", 4, 0, len(items)) + items


def request(command_field: int, sop_class_uid: str, sop_instance_uid: str = "", *, data: bool = False) -> bytes:
    """The command set of a request (PS3.7 9.3), with the header of its last fragment."""
    command = Dataset()
    command.AffectedSOPClassUID = sop_class_uid
    command.CommandField, command.MessageID = command_field, 1
    command.CommandDataSetType = _DATA_SET if data else _NO_DATA_SET
    if sop_instance_uid:
        command.AffectedSOPInstanceUID, command.Priority = sop_instance_uid, 0
    command.CommandGroupLength = len(encode(command, True, True) or b"")
    return b"\x03" + (encode(command, True, True) or b"")
