"""The P-DATA path of C-STORE over raw sockets: any fragmentation, aborts in the middle, other services in between."""

import contextlib
import random
import socket
import struct
import threading
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from pynetdicom.dsutils import decode, encode

from dicom_node import recording, streaming, wakening
from dicom_node.bounded_socket import BoundedSocket
from dicom_node.domain.bounds import Bounds
from dicom_node.domain.calls import CallOutcome
from dicom_node.peers import echo
from tests.builders.command import eventually
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, PATIENCE_S, MemoryRegister, dataset_bytes, image_series, running_node
from tests.builders.pdus import (
    C_ECHO_RQ,
    C_STORE_RQ,
    MR,
    RELEASE_REQUEST,
    VERIFICATION,
    associate_request,
    p_data,
    request,
)

# pynetdicom drops the socket of a connection that was closed on it without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 0, 0)


@contextlib.contextmanager
def association(node):
    """A connection on which images may be stored in context 1, and C-ECHO be sent in context 3."""
    asked = associate_request()
    with socket.create_connection((HOST, node.destination.port), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(asked)
        assert pdu_of(connection)[0] == 2  # A-ASSOCIATE-AC
        yield connection


def whole(connection, size):
    """So many bytes."""
    received = b""
    while len(received) < size:
        more = connection.recv(size - len(received))
        assert more, "the node hung up"
        received += more
    return received


def pdu_of(connection):
    """Type and content of the next PDU."""
    kind, length = struct.unpack(">BxL", whole(connection, 6))
    return kind, whole(connection, length)


def status_of(connection):
    """That of the next response."""
    kind, content = pdu_of(connection)
    assert kind == 4
    return decode(BytesIO(content[6:]), True, True).Status


def commanded(dataset):
    """The command set with its header, and the data set, of a request to store it."""
    uid = str(dataset.SOPInstanceUID)
    return request(C_STORE_RQ, MR, uid, data=True), encode(dataset, False, True)


def fragmented(command, content, chance):
    """The same message cut at random into fragments, and these into PDUs."""
    fragments = []
    for control, value in ((1, command[1:]), (0, content)):
        cuts = sorted(chance.randrange(len(value) + 1) for _ in range(chance.choice((0, 1, 3, 9))))
        bounds = list(zip([0, *cuts], [*cuts, len(value)], strict=True))
        fragments += [
            bytes([control | (2 if number == len(bounds) - 1 else 0)]) + value[begin:end]
            for number, (begin, end) in enumerate(bounds)
        ]
    stream = b""
    while fragments:
        together = chance.randint(1, 3)
        stream, fragments = stream + p_data(*fragments[:together]), fragments[together:]
    return stream


def test_any_fragmentation_gives_the_same_file(tmp_path):
    """Over one association, in segments of any size; the seed is told when it fails."""
    seed = random.SystemRandom().randrange(1 << 31)
    chance = random.Random(seed)
    images = mr_series((12, 64, 48), pixels=np.arange(12 * 64 * 48).reshape(12, 64, 48))
    with running_node(tmp_path) as node, association(node) as connection:
        for image in images:
            command, content = commanded(image)
            stream = fragmented(command, content, chance)
            while stream:
                size = chance.choice((1, 5, 6, 11, 12, 13, 1000, 100000))
                connection.sendall(stream[:size])
                stream = stream[size:]
            assert status_of(connection) == 0, seed
            kept = node.register.instances[str(image.SOPInstanceUID)]
            assert dataset_bytes(kept.path) == content, seed
        connection.sendall(RELEASE_REQUEST)
        assert pdu_of(connection)[0] == 6


@pytest.mark.parametrize("ending", ["abort", "hang up", "another command", "nonsense", "another context"])
def test_what_ends_in_the_middle_leaves_nothing(tmp_path, ending):
    """Neither a half file nor an open association nor a word of success."""
    command, content = commanded(image_series()[0])
    with running_node(tmp_path) as node:
        with association(node) as connection:
            connection.sendall(p_data(command, b"\x00" + content[:1000]))
            assert eventually(lambda: bool(node.unfinished))
            if ending == "hang up":
                connection.shutdown(socket.SHUT_RDWR)
            else:
                rest = b"\x02" + content[1000:]
                connection.sendall(
                    {
                        "abort": ABORT,
                        "another command": p_data(command),
                        "nonsense": struct.pack(">BBL", 4, 0, 4) + b"\xff" * 4,
                        "another context": p_data(rest, context_id=3),
                    }[ending]
                )
            assert eventually(lambda: not node.scp._server.active_associations)
        assert not node.unfinished
        assert node.files == []
        echo(node.destination, "OTHER")


@pytest.mark.parametrize("size", [3, 8, 500])
def test_half_a_pdu_is_waited_for_and_not_for_ever(tmp_path, monkeypatch, size):
    """Wherever it stalls between its first and its last byte; meanwhile nothing is done."""
    reads = []
    fill = BoundedSocket.fill
    monkeypatch.setattr(BoundedSocket, "fill", lambda source: (reads.append(source), fill(source))[1])
    command, content = commanded(image_series()[0])
    with running_node(tmp_path, bounds=Bounds(idle_s=1.0)) as node, association(node) as connection:
        connection.sendall(p_data(command) + p_data(b"\x02" + content)[:size])
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
        assert eventually(lambda: node.calls[-1].outcome is CallOutcome.CUT_OFF)
        assert "stalled" in node.calls[-1].reason
        assert len(reads) < 10
        assert node.files == []


def test_stopping_ends_an_object_that_does_not_come_whole(tmp_path):
    """The node does not wait for the rest; what it has of it goes."""
    command, content = commanded(image_series()[0])
    with running_node(tmp_path) as node, association(node) as connection:
        connection.sendall(p_data(command, b"\x00" + content[:1000]))
        assert eventually(lambda: bool(node.unfinished))
        stopping = threading.Thread(target=node.scp.stop, args=(5.0,))
        stopping.start()
        assert pdu_of(connection)[0] == 7  # A-ABORT
        stopping.join(PATIENCE_S)
        assert eventually(lambda: not node.unfinished)


def test_who_waits_keeps_nobody_waiting(tmp_path):
    """Whose sender stops in the middle of a PDU; the others are stored meanwhile."""
    messages = [commanded(image) for image in image_series()]
    with running_node(tmp_path) as node, association(node) as slow, association(node) as quick:
        stream = b"".join(p_data(command, b"\x02" + content) for command, content in messages[:1])
        for some in (stream[:3], stream[3:400], stream[400:1000]):
            slow.sendall(some)
            for command, content in messages[1:]:
                quick.sendall(p_data(command, b"\x02" + content))
                assert status_of(quick) == 0
        slow.sendall(stream[1000:])
        assert status_of(slow) == 0
        assert len(node.stored) == 3


def test_other_services_come_between(tmp_path, monkeypatch):
    """C-ECHO and requests without a data set, on the association that stores; no timer has a part in it."""
    monkeypatch.setattr(wakening, "LOOK_EVERY_S", 3 * PATIENCE_S)
    monkeypatch.setattr(streaming, "LOOK_EVERY_S", 3 * PATIENCE_S)
    command, content = commanded(image_series()[0])
    with running_node(tmp_path) as node, association(node) as connection:
        for _ in range(2):
            connection.sendall(p_data(request(C_ECHO_RQ, VERIFICATION), context_id=3))
            assert status_of(connection) == 0
            connection.sendall(p_data(command, b"\x02" + content))
            assert status_of(connection) == 0
            connection.sendall(p_data(request(C_STORE_RQ, MR, "1.2.3")))
            assert status_of(connection) == 0xC000
        connection.sendall(RELEASE_REQUEST)
        assert pdu_of(connection)[0] == 6
        assert len(node.stored) == 1


def test_only_contexts_of_storage_take_objects(tmp_path):
    """Who was let in for C-ECHO, or to report on storage commitment, stores nothing there."""
    command, content = commanded(image_series()[0])
    with running_node(tmp_path) as node, association(node) as connection:
        connection.sendall(p_data(command, b"\x02" + content, context_id=3))
        assert status_of(connection) == 0xC000
        assert node.files == []


def test_requests_may_come_before_their_answers(tmp_path):
    """Nothing negotiates that, and it does no harm: each has its answer, in their order."""
    messages = [commanded(image) for image in image_series()]
    with running_node(tmp_path) as node, association(node) as connection:
        connection.sendall(b"".join(p_data(command, b"\x02" + content) for command, content in messages))
        assert [status_of(connection) for _ in messages] == [0, 0, 0]
        assert len(node.stored) == 3


def test_a_fault_in_recording_costs_nothing_that_was_answered(tmp_path, monkeypatch):
    """It is safe on disk, and recorded when that works again; until then no other is taken in, and its sender told."""
    monkeypatch.setattr(recording, "_TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(recording, "_ENOUGH", 1)

    class FaultyAtFirst(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            if not mended.is_set():
                self.heard.set()
                raise ZeroDivisionError
            return super().record_instance(instance, calling_ae=calling_ae, now=now)

    mended = threading.Event()
    first, second = (commanded(image) for image in image_series()[:2])
    with running_node(tmp_path, register=FaultyAtFirst()) as node, association(node) as connection:

        def status_when_sent(message):
            command, content = message
            connection.sendall(p_data(command, b"\x02" + content))
            return status_of(connection)

        assert status_when_sent(first) == 0
        assert not node.scp.flush()
        assert status_when_sent(second) == 0xA700
        assert node.stored == []
        mended.set()
        assert eventually(lambda: len(node.stored) == 1)
        assert status_when_sent(second) == 0
        assert len(node.stored) == 2
        assert not node.unfinished


def test_memory_does_not_grow_with_an_object(tmp_path):
    """Sixteen megabytes pass through a fraction of that, the sender's own part included."""
    command, content = commanded(image_series()[0])
    block = p_data(b"\x00" + bytes(128000))
    with running_node(tmp_path) as node, association(node) as connection:
        tracemalloc.start()
        try:
            connection.sendall(p_data(command, b"\x00" + content))
            for _ in range(128):
                connection.sendall(block)
            connection.sendall(p_data(b"\x02"))
            assert status_of(connection) == 0
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert node.files[0].stat().st_size > 16_000_000
        assert peak < 4_000_000


def test_an_object_over_the_bound_is_read_to_its_end(tmp_path):
    """Its bytes are dropped from the bound on, wherever PDUs end, and the next one is stored."""
    command, content = commanded(image_series()[0])
    with running_node(tmp_path, bounds=Bounds(object_bytes=3 * len(content))) as node, association(node) as connection:
        large = b"\x00" + content
        connection.sendall(p_data(command, large) + p_data(large) * 3 + p_data(b"\x02"))
        assert status_of(connection) == 0xA700
        connection.sendall(p_data(command, b"\x02" + content))
        assert status_of(connection) == 0
        assert len(node.files) == 1
