"""A caller's connection, as the P-DATA path waits for it and reads it."""

import queue
import socket
from types import SimpleNamespace

import pytest

from dicom_node.bounded_socket import BoundedSocket
from dicom_node.domain.bounds import Bounds
from dicom_node.wakening import Bell
from tests.builders.network import HOST, PATIENCE_S


@pytest.fixture
def ends():
    """Of a connection: the one of this node, and the caller's."""
    association = SimpleNamespace(dul=SimpleNamespace(event_queue=queue.Queue()))
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as caller:
        connection, _ = server.accept()
        with connection:
            yield BoundedSocket(association, connection, Bounds(), lambda _: None), caller


def test_of_what_is_sure_to_come_much_is_waited_for(ends):
    """And of what may come the first byte."""
    source, caller = ends
    bell = Bell()
    caller.sendall(bytes(100))
    assert source.wait(bell, PATIENCE_S)
    assert not source.wait(bell, 0.1, 101)
    caller.sendall(b"x")
    assert source.wait(bell, PATIENCE_S, 101)
    assert source.fill()
    assert len(source.unread) == 101
    caller.sendall(b"y")
    assert source.wait(bell, PATIENCE_S)


def test_a_pdu_longer_than_any_buffer_is_not_waited_for_as_a_whole(ends):
    """What comes is taken, and room is made for what follows."""
    source, caller = ends
    caller.sendall(bytes(1 << 16))
    assert source.wait(Bell(), PATIENCE_S, 1 << 30)


def test_a_caller_that_hangs_up_is_not_waited_for(ends):
    """However much it owes."""
    source, caller = ends
    caller.sendall(b"x")
    caller.shutdown(socket.SHUT_WR)
    assert source.wait(Bell(), PATIENCE_S, 1000)
    assert source.fill()
    assert not source.fill()


def test_reading_does_not_wait(ends):
    """What is not there yet leaves what is unread as it was."""
    source, _ = ends
    assert source.fill()
    assert not source.unread
