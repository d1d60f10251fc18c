"""Requests as PDUs, read back by pynetdicom; responses, whole, in pieces and broken."""

import io
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from dicom_node.pdata_sending import (
    DataSetCutShort,
    NoResponse,
    PduBuffer,
    StoreRequest,
    receive_response,
    send_request,
)
from tests.builders.pdus import MR, p_data

REQUEST = StoreRequest(3, 7, MR, "1.2.840.10008.1")
DATA = bytes(range(256)) * 1000
PATIENCE_S = 5.0


@contextmanager
def both_ends():
    """Of one connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def pdus_of(stream):
    """The PDUs of which the bytes consist."""
    while stream:
        end = 6 + struct.unpack_from(">L", stream, 2)[0]
        yield stream[:end]
        stream = stream[end:]


def sent(maximum_length, data=DATA):
    """Every PDU of the request."""
    buffer = PduBuffer(maximum_length)
    return list(pdus_of(b"".join(bytes(part) for part in buffer.filled(REQUEST, io.BytesIO(data), len(data)))))


def test_the_command_set_is_what_pynetdicom_writes():
    """Byte for byte."""
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = REQUEST.message_id, 0
    primitive.AffectedSOPClassUID = REQUEST.sop_class_uid
    primitive.AffectedSOPInstanceUID = REQUEST.sop_instance_uid
    primitive.DataSet = io.BytesIO(DATA)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    assert REQUEST.command_set() == encode(message.command_set, True, True)


@pytest.mark.parametrize("maximum_length", [0, 131072, 16384, 4096, 21, 8])
def test_pynetdicom_reads_the_message_from_pdus_of_any_length(maximum_length):
    """None is longer than the peer takes; fragments are even, and the data set arrives as it is."""
    data = DATA if maximum_length > 100 or not maximum_length else DATA[:999]
    message, whole = DIMSEMessage(), False
    for encoded in sent(maximum_length, data):
        assert len(encoded) - 6 <= (maximum_length or 131072)
        pdu = P_DATA_TF()
        pdu.decode(encoded)
        assert not whole
        whole = message.decode_msg(pdu.to_primitive())
        assert whole or len(encoded) % 2 == 0
    assert whole
    assert message.context_id == REQUEST.context_id
    primitive = message.message_to_primitive()
    assert primitive.DataSet.getvalue() == data
    assert (primitive.MessageID, primitive.Priority) == (REQUEST.message_id, 0)
    assert primitive.AffectedSOPInstanceUID == REQUEST.sop_instance_uid


def test_a_peer_that_takes_nothing_is_told():
    """Headers alone would fill its PDUs."""
    with pytest.raises(ValueError, match="hold no data"):
        PduBuffer(7)


@pytest.mark.parametrize(("there", "begun"), [(1000, False), (2 << 20, True)])
def test_a_data_set_that_ends_early_is_told(there, begun):
    """And whether the peer has a part of it."""
    with both_ends() as (ours, theirs):
        reading = threading.Thread(target=lambda: [None for _ in iter(lambda: theirs.recv(1 << 20), b"")])
        reading.start()
        pdus = PduBuffer(0).filled(REQUEST, io.BytesIO(bytes(there)), 3 << 20)
        with pytest.raises(DataSetCutShort) as told:
            send_request(ours, pdus, PATIENCE_S)
        ours.shutdown(socket.SHUT_RDWR)
        reading.join()
    assert told.value.begun is begun


def test_a_peer_that_takes_none_of_it_is_not_waited_for():
    """The request is cut, and the connection of no more use."""
    pdus = PduBuffer(0).filled(REQUEST, io.BytesIO(bytes(32 << 20)), 32 << 20)
    with both_ends() as (ours, _theirs), pytest.raises(NoResponse, match="TimeoutError") as told:
        send_request(ours, pdus, 0.1)
    assert told.value.cut


@pytest.mark.parametrize(
    "pieces",
    [
        [p_data(b"\x03abcdef")],
        [p_data(b"\x01abc", b"\x03def")],
        [p_data(b"\x01abc"), p_data(b"\x03def")],
    ],
)
def test_a_response_comes_whole_or_in_pieces(pieces):
    """Of items or of PDUs; what follows it stays where it is."""
    with both_ends() as (ours, theirs):
        theirs.sendall(b"".join(pieces) + b"more")
        assert receive_response(ours, PATIENCE_S) == b"abcdef"
        assert ours.recv(16) == b"more"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (struct.pack(">BBLL", 7, 0, 4, 0), "type 7"),
        (struct.pack(">BBLL", 5, 0, 4, 0), "type 5"),
        (struct.pack(">BBL", 4, 0, 131073), "131073 bytes"),
        (p_data(b"\x02abc"), "no response to a C-STORE"),
        (struct.pack(">BBLLBB", 4, 0, 6, 9, 1, 3), "cannot be"),
        (struct.pack(">BBLLBB", 4, 0, 6, 1, 1, 3), "cannot be"),
        (struct.pack(">BBLL", 4, 0, 4, 2), "cut short"),
        (struct.pack(">BBL", 4, 0, 6), "closed"),
        (b"", "closed"),
    ],
)
def test_anything_else_is_no_response(said, told):
    """An abort, a release, a PDU longer than this node asked for, broken items, the end."""
    with both_ends() as (ours, theirs):
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(NoResponse, match=told):
            receive_response(ours, PATIENCE_S)


@pytest.mark.parametrize("said", [b"", p_data(b"\x03abcdef")[:-1], p_data(b"\x01abc")])
def test_a_response_that_is_not_whole_in_time_is_none(said):
    """However much of it has come."""
    with both_ends() as (ours, theirs):
        theirs.sendall(said)
        with pytest.raises(NoResponse, match="TimeoutError"):
            receive_response(ours, 0.1)
