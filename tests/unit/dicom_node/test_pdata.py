"""P-DATA-TF PDUs out of a stream, however it is cut."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.pdata import LONGEST_PDU_BYTES, InvalidPduError, PdataReader, PduTooLongError, command_pdus
from tests.builders.pdus import p_data


def pieces_of(stream, sizes=()):
    """What a reader finds in a stream that comes in segments of these sizes, the rest at once."""
    reader, found, unread = PdataReader(), [], b""
    for size in (*sizes, len(stream)):
        unread, stream = unread + stream[:size], stream[size:]
        while True:
            used, piece = reader.read(memoryview(unread))
            if piece is not None:
                found.append((piece.context_id, piece.is_command, piece.is_last, bytes(piece.data)))
            unread = unread[used:]
            if piece is None:
                break
    return reader, unread, found


def joined(found):
    """The pieces of a fragment, which may have come apart, as one again."""
    return [
        (context, command, b"".join(data for *_, data in found if (_[0], _[1]) == (context, command)))
        for context, command in dict.fromkeys((each[0], each[1]) for each in found)
    ]


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_any_cut_gives_the_same_bytes(data):
    """Of values into fragments, of fragments into PDUs, of PDUs into segments."""
    command, dataset = data.draw(st.binary(min_size=1, max_size=60)), data.draw(st.binary(max_size=300))
    fragments = [
        *cut(data, command, control=1),
        *cut(data, dataset, control=0),
    ]
    stream, rest = b"", fragments
    while rest:
        together = data.draw(st.integers(1, 4))
        stream, rest = stream + p_data(*rest[:together]), rest[together:]
    segments = data.draw(st.lists(st.integers(1, 40), max_size=30))
    reader, unread, found = pieces_of(stream, segments)
    assert reader.is_between_pdus
    assert unread == b""
    assert b"".join(value for _, is_command, _, value in found if is_command) == command
    assert b"".join(value for _, is_command, _, value in found if not is_command) == dataset
    ends = [number for number, (_, _, is_last, _) in enumerate(found) if is_last]
    first_data = next(number for number, (_, is_command, _, _) in enumerate(found) if not is_command)
    assert ends == [first_data - 1, len(found) - 1]


def cut(data, value, control):
    """A value in fragments, of which the last says so."""
    at = sorted(data.draw(st.lists(st.integers(0, len(value)), max_size=4)))
    bounds = list(zip([0, *at], [*at, len(value)], strict=True))
    return [
        bytes([control | (2 if number == len(bounds) - 1 else 0)]) + value[start:end]
        for number, (start, end) in enumerate(bounds)
    ]


@given(stream=st.binary(max_size=200), segments=st.lists(st.integers(1, 9), max_size=30))
@settings(deadline=None, max_examples=300)
def test_noise_is_refused_or_waited_for(stream, segments):
    """And nothing else happens: no byte is used twice, no other exception escapes."""
    try:
        _, unread, found = pieces_of(b"\x04\x00\x00\x00" + stream, segments)
    except InvalidPduError:
        return
    assert sum(len(data) for *_, data in found) + len(unread) <= len(stream) + 4


@pytest.mark.parametrize(
    "nonsense",
    [
        struct.pack(">BBL", 4, 0, 0) + bytes(6),
        struct.pack(">BBL", 4, 0, 5) + bytes(6),
        p_data(b""),
        struct.pack(">BBLLBB", 4, 0, 10, 7, 1, 0) + bytes(8),
        struct.pack(">BBLLBB", 4, 0, 12, 3, 1, 0) + bytes(12),
        struct.pack(">BBL", 5, 0, 4) + bytes(6),
    ],
    ids=["empty", "too short", "no header", "longer than its PDU", "a rest too short", "another PDU"],
)
def test_what_is_no_p_data_is_refused(nonsense):
    """Nobody waits for what cannot come."""
    with pytest.raises(InvalidPduError):
        pieces_of(nonsense)


def test_a_longer_pdu_than_any_is_refused_by_its_header():
    """Its length is told."""
    with pytest.raises(PduTooLongError) as refused:
        pieces_of(struct.pack(">BBL", 4, 0, LONGEST_PDU_BYTES + 1))
    assert refused.value.length == LONGEST_PDU_BYTES + 1


@pytest.mark.parametrize(("longest", "count"), [(0, 1), (16384, 1), (26, 5)])
def test_a_response_fits_into_what_the_peer_takes(longest, count):
    """It is what it was when it is put together again."""
    command = bytes(range(100))
    sent = list(command_pdus(5, command, longest))
    assert len(sent) == count
    assert all(len(pdu) - 6 <= (longest or 1000) for pdu in sent)
    _, _, found = pieces_of(b"".join(sent))
    assert joined(found) == [(5, True, command)]
    assert [is_last for _, _, is_last, _ in found] == [False] * (count - 1) + [True]
