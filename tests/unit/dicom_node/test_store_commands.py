"""The command sets of C-STORE, held against pynetdicom's."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from dicom_node.store_commands import StoreCommand, is_success, store_command_in, store_response
from tests.builders.pdus import C_ECHO_RQ, C_STORE_RQ, MR, VERIFICATION, request

REQUEST = request(C_STORE_RQ, MR, "1.2.3", data=True)[1:]


def test_a_request_is_read():
    """As pynetdicom writes it."""
    assert store_command_in(REQUEST) == StoreCommand(1, MR, "1.2.3", 0)


def test_priority_is_read_or_medium():
    """Some leave it out, though they must not."""
    command = decode(BytesIO(REQUEST), True, True)
    command.Priority = 1
    assert store_command_in(encode(command, True, True)).priority == 1
    del command.Priority
    assert store_command_in(encode(command, True, True)).priority == 0


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_padding_is_no_part_of_a_uid(padding):
    """Nor is a space, which some senders write."""
    assert store_command_in(REQUEST.replace(b"1.2.3\0", b"1.2.3" + padding)).sop_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    "command",
    [
        request(C_ECHO_RQ, VERIFICATION)[1:],
        request(C_STORE_RQ, MR, "1.2.3")[1:],
        request(C_STORE_RQ, MR, data=True)[1:],
        b"",
        REQUEST[:-1],
        REQUEST + b"\x08\x00",
        b"\xff" * 40,
        REQUEST.replace(b"1.2.3\0", b"1.2.\xe9\0"),
        REQUEST + struct.pack("<HHL", 8, 0x0016, 0),
    ],
    ids=["echo", "no data set", "no instance", "empty", "cut", "half an element", "noise", "no ASCII", "no command"],
)
def test_everything_else_is_left_alone(command):
    """What to do with it is not decided here."""
    assert store_command_in(command) is None


@given(st.binary(max_size=120))
def test_no_bytes_do_harm(noise):
    """Whatever they are, the answer is a request or none."""
    store_command_in(noise)
    store_command_in(REQUEST[: len(noise)] + noise)


@pytest.mark.parametrize(("status", "comment"), [(0, ""), (0xA700, "disk nearly full"), (0xC000, "odd")])
def test_a_response_is_read_by_pynetdicom(status, comment):
    """Each element as PS3.7 9.3.1.2 has it, in ascending order, of even length."""
    content = store_response(StoreCommand(7, MR, "1.2.3", 0), status, comment)
    response = decode(BytesIO(content), True, True)
    expected = Dataset()
    expected.CommandGroupLength = len(content) - 12
    expected.AffectedSOPClassUID, expected.AffectedSOPInstanceUID = MR, "1.2.3"
    expected.CommandField, expected.MessageIDBeingRespondedTo = 0x8001, 7
    expected.CommandDataSetType, expected.Status = 0x0101, status
    if comment:
        expected.ErrorComment = comment
    assert response == expected
    assert encode(response, True, True) == content


def test_success_is_known_and_nothing_else_is_taken_for_it():
    """A warning, another message's response, a request, and what is cut short are left to pydicom."""
    success = store_response(StoreCommand(7, MR, "1.2.3", 0), 0x0000)
    assert is_success(success, 7)
    assert not is_success(success, 8)
    assert not is_success(store_response(StoreCommand(7, MR, "1.2.3", 0), 0xB000, "coerced"), 7)
    assert not is_success(REQUEST, 1)
    before_the_uid = success.index(b"\x00\x00\x00\x10")  # which need not be there
    assert not any(is_success(success[:length], 7) for length in range(before_the_uid))
