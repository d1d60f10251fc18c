"""DICOM over TLS, with a DICOM implementation that is not ours: who gets in, who does not and what is told of it."""

import re
import shutil
import socket
import ssl
import subprocess
from dataclasses import replace

import pytest

from dicom_node.domain.calls import CallOutcome
from dicom_node.domain.errors import PeerUnreachable
from dicom_node.peers import echo
from dicom_node.tls import ServerTls
from tests.builders.certificates import authority, openssl
from tests.builders.command import eventually
from tests.builders.dcmtk import dcmtk
from tests.builders.network import HOST, PATIENCE_S, image_series, running_node, saved

# pynetdicom drops the socket of a connection that was refused or closed on it without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """The authority that the node believes."""
    return authority(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """One that it does not."""
    return authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def node(tmp_path, hospital):
    """A node that wants certificates."""
    tls = ServerTls(hospital.sign("node"), require_peer_certificate=True)
    with running_node(tmp_path / "node", tls=tls) as running:
        yield running


@pytest.fixture(scope="module")
def with_dcmtk():
    """Skips where there is no DCMTK, or one without TLS."""
    if shutil.which("storescu") is None:
        pytest.skip("storescu is not installed (apt-get install dcmtk)")
    told = subprocess.run(["storescu", "--help"], capture_output=True, text=True, check=False).stdout
    if "--enable-tls" not in told:
        pytest.skip("this storescu was built without TLS")


def store(node, path, *options):
    """One object by DCMTK's storescu."""
    return dcmtk("storescu", "-R", *options, "-aet", "TESTER", "-aec", "NODE", HOST, node.destination.port, path)


def shown(files):
    """What makes DCMTK's tools show a certificate."""
    return ("+tls", files.key, files.certificate, "+cf", files.authorities)


@pytest.mark.usefixtures("with_dcmtk")
def test_the_right_certificate_gets_in(tmp_path, node, hospital):
    """C-ECHO and C-STORE, recorded as any other association."""
    [dataset, *_] = image_series()
    files = hospital.sign("modality")
    echoed = dcmtk("echoscu", *shown(files), "-aec", "NODE", HOST, node.destination.port)
    assert echoed.returncode == 0, echoed.stderr
    sent = store(node, saved(dataset, tmp_path / "sent"), *shown(files))
    assert sent.returncode == 0, sent.stderr
    assert [instance.sop_instance_uid for instance in node.stored] == [dataset.SOPInstanceUID]
    assert {call.outcome for call in node.calls} == {CallOutcome.ACCEPTED}


@pytest.mark.usefixtures("with_dcmtk")
@pytest.mark.parametrize(
    ("kind", "reason", "remedy"),
    [
        ("wrong", "unable to get local issuer certificate", "authorities"),
        ("expired", "certificate has expired", "renew it"),
        ("none", "showed no certificate", "authorities"),
        ("no TLS", "spoke without TLS", "switch TLS on"),
    ],
)
def test_others_do_not(tmp_path, node, hospital, stranger, kind, reason, remedy):
    """Nothing is stored; the reason and what would help are recorded; the next one is served."""
    options = {
        "wrong": lambda: shown(replace(stranger.sign("wrong"), authorities=hospital.certificate)),
        "expired": lambda: shown(hospital.sign("expired", days=-1)),
        "none": lambda: ("+tla", "+cf", hospital.certificate),
        "no TLS": lambda: (),
    }[kind]()
    path = saved(image_series()[0], tmp_path / "sent")
    assert store(node, path, *options).returncode != 0
    assert node.stored == []
    assert store(node, path, *shown(hospital.sign("right"))).returncode == 0
    refused = node.calls[0]
    assert (refused.outcome, refused.address, refused.calling_ae_title) == (CallOutcome.NO_TLS, HOST, "")
    assert reason in refused.reason
    assert remedy in refused.remedy
    assert len(node.stored) == 1


@pytest.mark.parametrize(("version", "refused"), [("-tls1_1", True), ("-tls1_2", False), ("-tls1_3", False)])
def test_tls_1_1_is_refused(node, hospital, version, refused):
    """By a client that would speak it: its security level is lowered, so that it is the node that says no."""
    files = hospital.sign("client")
    known = ("-CAfile", hospital.certificate, "-cert", files.certificate, "-key", files.key)
    if refused:
        known = (*known, "-cipher", "ALL:@SECLEVEL=0")
    told = openssl("s_client", version, *known, "-connect", f"{HOST}:{node.destination.port}", check=False)
    if refused:
        assert eventually(lambda: bool(node.calls))
    node.scp.stop()
    assert (re.search(r"Cipher is \(NONE\)", told.stdout) is not None) is refused, told.stdout
    if refused:
        [call] = node.calls
        assert call.outcome is CallOutcome.NO_TLS
        assert "no TLS 1.2" in call.reason


def test_without_a_certificate_where_none_is_required(tmp_path, hospital):
    """One that is shown must be right all the same."""
    tls = ServerTls(hospital.sign("node"), require_peer_certificate=False)
    client = ssl.create_default_context(cafile=hospital.certificate)
    with (
        running_node(tmp_path, tls=tls) as node,
        socket.create_connection((HOST, node.destination.port), PATIENCE_S) as plain,
        client.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        assert connection.version() == "TLSv1.3"


def as_peer(node, files):
    """The node as others configure it."""
    return replace(node.destination, tls=files)


def test_our_own_calls_use_tls(node, hospital):
    """Both sides of this node understand each other."""
    echo(as_peer(node, hospital.sign("caller")), "TESTER")
    assert node.calls[-1].calling_ae_title == "TESTER"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("wrong authority", "have it signed by an authority in `authorities`"),
        ("expired", "its certificate is not valid: certificate has expired; renew it"),
        ("another host", "IP address mismatch"),
        ("no file", "gone.crt: tls.certificate: cannot be read: No such file or directory; name a PEM file"),
    ],
)
def test_a_peer_that_we_do_not_believe_is_not_called(tmp_path, hospital, stranger, kind, told):
    """What is wrong with its certificate is the reason of the delivery, and it is tried again."""
    served = hospital.sign(
        "served", days=-1 if kind == "expired" else 30, hosts="IP:192.0.2.1" if kind == "another host" else f"IP:{HOST}"
    )
    files = hospital.sign("caller")
    if kind == "wrong authority":
        files = replace(files, authorities=stranger.certificate)
    if kind == "no file":
        files = replace(files, certificate=tmp_path / "gone.crt")
    with running_node(tmp_path, tls=ServerTls(served, require_peer_certificate=True)) as node:
        with pytest.raises(PeerUnreachable) as refused:
            echo(as_peer(node, files), "TESTER")
        assert refused.value.retryable
        assert told in str(refused.value)
        if kind == "another host":
            echo(as_peer(node, replace(files, check_host_name=False)), "TESTER")


def test_a_peer_that_does_not_believe_us_is_told_of(node, hospital, stranger):
    """TLS 1.3 tells a client only after the handshake that its certificate was refused."""
    files = replace(stranger.sign("caller"), authorities=hospital.certificate)
    with pytest.raises(PeerUnreachable, match="does it believe this node's certificate"):
        echo(as_peer(node, files), "TESTER")


def test_a_peer_without_tls_is_told_of(tmp_path, hospital):
    """On both sides: it hangs up at what is no PDU, and records that it was TLS."""
    with running_node(tmp_path) as plain:
        with pytest.raises(PeerUnreachable, match="it hung up in the handshake"):
            echo(as_peer(plain, hospital.sign("caller")), "TESTER")
        assert eventually(lambda: bool(plain.calls))
        assert plain.calls[0].reason == "it spoke TLS, which this node does not"


def serial_shown_by(node, files):
    """The serial number of the certificate that the node shows now."""
    client = ssl.create_default_context(cafile=files.authorities)
    client.load_cert_chain(files.certificate, files.key)
    with (
        socket.create_connection((HOST, node.destination.port), PATIENCE_S) as plain,
        client.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        return connection.getpeercert()["serialNumber"]


def test_renewed_files_are_used_by_the_next_connection(tmp_path, hospital, caplog):
    """Without a restart; a key that does not fit yet changes nothing."""
    files, renewed, caller = hospital.sign("first"), hospital.sign("second"), hospital.sign("caller")
    with running_node(tmp_path, tls=ServerTls(files, require_peer_certificate=True)) as node:
        first = serial_shown_by(node, caller)
        renewed.certificate.replace(files.certificate)
        assert serial_shown_by(node, caller) == first
        assert "tls.key: is not the key of" in caplog.text
        renewed.key.replace(files.key)
        assert serial_shown_by(node, caller) != first
