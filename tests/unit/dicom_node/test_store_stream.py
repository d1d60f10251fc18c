"""C-STORE requests out of pieces."""

import pytest

from dicom_node.pdata import InvalidPduError, Piece
from dicom_node.store_stream import LONGEST_COMMAND_BYTES, Answer, Foreign, StoreStream
from tests.builders.pdus import C_ECHO_RQ, C_STORE_RQ, MR, VERIFICATION, request

STORE = request(C_STORE_RQ, MR, "1.2.3", data=True)[1:]
ECHO = request(C_ECHO_RQ, VERIFICATION)[1:]


class Reception:
    """Remembers what it was given."""

    def __init__(self):
        self.taken, self.abandoned = b"", False

    def take(self, data):
        """Add it."""
        self.taken += data

    def answer(self):
        """Say so."""
        return b"stored " + self.taken

    def abandon(self):
        """Say so."""
        self.abandoned = True


class Desk:
    """Takes every request, or none."""

    def __init__(self, *, is_open=True):
        self.is_open = is_open
        self.receptions = []
        self.stream = StoreStream(self.begin)

    def begin(self, command, context_id):
        """As the stream asks for it."""
        if not self.is_open:
            return None
        self.receptions.append(Reception())
        return self.receptions[-1]

    def give(self, data, *, command=False, last=True, context=1):
        """A piece."""
        return self.stream.take(Piece(context, command, last, memoryview(data)))


def test_a_request_in_pieces_is_answered_once():
    """When its last piece has come; then the next may begin."""
    desk = Desk()
    for _ in range(2):
        assert desk.give(STORE[:10], command=True, last=False) is None
        assert desk.give(STORE[10:], command=True) is None
        assert desk.give(b"half ", last=False) is None
        assert desk.give(b"whole") == Answer(1, b"stored half whole")
    assert len(desk.receptions) == 2


def test_other_services_are_passed_on():
    """And requests that nobody takes."""
    assert Desk().give(ECHO, command=True) == Foreign(1, ECHO)
    assert Desk(is_open=False).give(STORE, command=True) == Foreign(1, STORE)


def test_what_is_half_received_can_be_given_up():
    """Only that."""
    desk = Desk()
    desk.stream.abandon()
    desk.give(STORE, command=True)
    desk.give(b"done")
    desk.give(STORE, command=True)
    desk.give(b"half", last=False)
    desk.stream.abandon()
    assert [each.abandoned for each in desk.receptions] == [False, True]


@pytest.mark.parametrize(
    "steps",
    [
        [{"data": b"data set"}],
        [{"data": STORE, "command": True}, {"data": STORE, "command": True}],
        [{"data": STORE, "command": True}, {"data": b"data set", "context": 3}],
        [{"data": bytes(LONGEST_COMMAND_BYTES), "command": True, "last": False}, {"data": b"0", "command": True}],
    ],
    ids=["no command", "command in a data set", "another context", "endless"],
)
def test_what_cannot_be_is_refused(steps):
    """PS3.8 Annex E; the association ends."""
    desk = Desk()
    *before, last = steps
    for step in before:
        desk.give(**step)
    with pytest.raises(InvalidPduError):
        desk.give(**last)
