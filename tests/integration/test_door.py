"""Callers that are silent, slow or too large are ended by the bounds, while others are served."""

import contextlib
import socket
import struct
import threading
from dataclasses import replace

import pytest
from pynetdicom import AE
from pynetdicom.presentation import build_context

from dicom_node.domain.bounds import Bounds
from dicom_node.domain.calls import CallOutcome
from dicom_node.domain.errors import PeerRefused, PeerUnreachable
from dicom_node.pdata import LONGEST_PDU_BYTES
from dicom_node.peers import echo
from dicom_node.storage_scu import ContextWish, open_storage
from dicom_node.tls import ServerTls
from tests.builders.certificates import authority
from tests.builders.command import eventually
from tests.builders.network import HOST, PATIENCE_S, image_series, running_node, saved
from tests.builders.pdus import C_ECHO_RQ, EXPLICIT, MR, VERIFICATION, associate_request, p_data, request

# pynetdicom drops the socket of a connection that was closed on it without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

QUICK = Bounds(artim_s=1.0, idle_s=1.0)
LONG_S = 600.0


def connect(node):
    """A connection that says nothing yet."""
    return socket.create_connection((HOST, node.destination.port), PATIENCE_S)


def ended(connection):
    """Whether the node ends the connection, whatever it says before."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


@pytest.mark.parametrize(
    "sent",
    [0, 3, 6, 60, None],
    ids=["nothing", "half a header", "a header", "half a request", "half a message after the request"],
)
def test_who_stalls_is_sent_away_while_others_are_served(tmp_path, sent):
    """Wherever it stalls; the reason is recorded, with the AE title if it was told."""
    asked = associate_request()
    # one of the two bounds alone is short, so that the other cannot stand in for it
    bounds = replace(QUICK, artim_s=LONG_S) if sent is None else replace(QUICK, idle_s=LONG_S)
    with running_node(tmp_path, bounds=bounds) as node, connect(node) as connection:
        if sent is None:
            connection.sendall(asked)
            assert connection.recv(1) == b"\x02"  # A-ASSOCIATE-AC
            connection.sendall(p_data(b"\x01" + b"\0" * 1000)[:500])
        else:
            connection.sendall(asked[:sent])
        echo(node.destination, "OTHER")
        assert ended(connection)
        assert eventually(lambda: any(call.outcome is CallOutcome.CUT_OFF for call in node.calls))
        [cut] = [call for call in node.calls if call.outcome is CallOutcome.CUT_OFF]
        assert cut.calling_ae_title == ("TESTER" if sent is None else "")
        assert "receive.artim_seconds" in cut.remedy


def test_who_asks_for_nothing_sensible_leaves_no_thread(tmp_path):
    """Its connection counts no more at once, not when its time would have been over: a hundred would fill the house."""
    with running_node(tmp_path, bounds=Bounds(artim_s=LONG_S)) as node:
        idle = threading.active_count()
        for _ in range(5):
            with connect(node) as connection:
                connection.sendall(struct.pack(">BBL", 1, 0, 4) + b"oops")
                assert ended(connection)
        assert eventually(lambda: threading.active_count() <= idle, PATIENCE_S)


def test_an_idle_association_is_ended(tmp_path):
    """After its request nothing comes."""
    asked = associate_request()
    with running_node(tmp_path, bounds=QUICK) as node, connect(node) as connection:
        connection.sendall(asked)
        assert ended(connection)


def test_many_silent_callers_keep_nobody_waiting(tmp_path):
    """Two hundred at once, and the bounds are far away."""
    with running_node(tmp_path) as node, contextlib.ExitStack() as silent:
        for _ in range(200):
            silent.enter_context(connect(node))
        echo(node.destination, "OTHER")
        # when the node stops, it does not wait for them either


def test_a_silent_tls_caller_keeps_nobody_waiting(tmp_path):
    """The handshake is not done where connections are taken in."""
    signer = authority(tmp_path / "hospital")
    tls = ServerTls(signer.sign("node"), require_peer_certificate=True)
    with running_node(tmp_path, tls=tls, bounds=Bounds(artim_s=2.0)) as node, connect(node) as connection:
        destination = node.destination.__class__("node", "NODE", HOST, node.destination.port, signer.sign("caller"))
        echo(destination, "OTHER")
        assert ended(connection)
        assert eventually(lambda: any(call.outcome is CallOutcome.NO_TLS for call in node.calls))


@pytest.mark.parametrize("length", [LONGEST_PDU_BYTES + 1, 0xFFFFFFFF])
def test_a_pdu_of_absurd_length_is_not_awaited(tmp_path, length):
    """Nothing is set aside for it."""
    with running_node(tmp_path) as node, connect(node) as connection:
        connection.sendall(struct.pack(">BBL", 1, 0, length))
        assert ended(connection)
        assert eventually(lambda: bool(node.calls))
        assert f"{length} bytes" in node.calls[0].reason


def with_pixels(dataset, size):
    """The data set under another UID, with so many bytes of pixels."""
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{size}"
    dataset.PixelData = bytes(size)
    return dataset


def test_an_object_over_the_bound_is_refused(tmp_path):
    """With 0xA700 and the setting's name, nothing of it is kept, the association goes on; one that is larger by far has
    its association ended."""
    series = image_series()
    small = [saved(dataset, tmp_path / "small") for dataset in series]
    large = saved(with_pixels(series[0], 1 << 21), tmp_path / "large")
    far_larger = saved(with_pixels(series[1], 1 << 23), tmp_path / "large")
    bounds = Bounds(object_bytes=1 << 20)
    wishes = {ContextWish(MR, EXPLICIT)}
    with running_node(tmp_path / "node", bounds=bounds) as node:
        with open_storage(node.destination, "TESTER", wishes) as sender:
            with pytest.raises(PeerRefused, match=r"0xA700 .*receive\.maximum_object_mb"):
                sender.send(large)
            assert [sender.send(path) for path in small] == [0, 0, 0]
        with pytest.raises(PeerUnreachable), open_storage(node.destination, "TESTER", wishes) as sender:
            sender.send(far_larger)
        assert len(node.stored) == 3
        assert len(node.files) == 3
        assert eventually(lambda: node.calls[-1].outcome is CallOutcome.CUT_OFF)
        assert node.calls[-1].calling_ae_title == "TESTER"
        assert "maximum_object_mb" in node.calls[-1].remedy


def test_refused_presentation_contexts_are_recorded(tmp_path):
    """Those of a service the node does not offer, and of a transfer syntax nobody knows."""
    with running_node(tmp_path) as node:
        association = AE(ae_title="TESTER").associate(
            HOST,
            node.destination.port,
            contexts=[
                build_context(MR, EXPLICIT),
                build_context("1.2.840.10008.5.1.4.31", EXPLICIT),
                build_context(MR, "1.2.3.4"),
            ],
            ae_title="NODE",
        )
        association.release()
    [call] = node.calls
    assert (call.outcome, call.called_ae_title) == (CallOutcome.ACCEPTED, "NODE")
    told = [(context.abstract_syntax, context.transfer_syntaxes, context.result) for context in call.refused]
    assert told == [("1.2.840.10008.5.1.4.31", (EXPLICIT,), 3), (MR, ("1.2.3.4",), 4)]


@pytest.mark.parametrize(
    "nonsense",
    [
        p_data(b""),
        p_data(b"\x03" + b"\xff" * 40),
        p_data(b"\x03" + struct.pack("<HHLH", 0, 0x0100, 2, 0x7777)),
        p_data(b"\x02" + b"\0" * 40),
        p_data(*[b"\x01" + b"\0" * 60000] * 3),
        struct.pack(">BBL", 4, 0, 4) + b"\xff" * 4,
        struct.pack(">BBL", 2, 0, 4) + b"\0" * 4,
        struct.pack(">BBL", 9, 0, 4) + b"\0" * 4,
    ],
    ids=[
        "no control header", "garbage for a command set", "no such command", "a data set without a command",
        "a command set without an end", "absurd length of an item", "an answer to nothing", "no such PDU",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:End of file reached before delimiter:UserWarning")
def test_nonsense_ends_its_association_at_once_and_quietly(tmp_path, nonsense, capfd):
    """No thread dies over it: nothing is left open, no traceback is written, others are served."""
    asked = associate_request()
    with running_node(tmp_path) as node, connect(node) as connection:
        connection.sendall(asked)
        assert connection.recv(1) == b"\x02"  # A-ASSOCIATE-AC
        connection.sendall(nonsense)
        assert ended(connection)
        assert eventually(lambda: not node.scp._server.active_associations)
        echo(node.destination, "OTHER")
    assert "Traceback" not in capfd.readouterr().err


def test_requests_are_not_heaped_up(tmp_path):
    """Who does not wait for answers is sent away before the node's memory is full of his requests."""
    echo_request = p_data(request(C_ECHO_RQ, VERIFICATION), context_id=3)
    with running_node(tmp_path) as node, connect(node) as connection:
        connection.sendall(associate_request())
        assert connection.recv(1) == b"\x02"
        with contextlib.suppress(OSError):
            for _ in range(2000):
                connection.sendall(echo_request)
        assert ended(connection)
        assert eventually(lambda: any("no DICOM" in call.reason for call in node.calls))
