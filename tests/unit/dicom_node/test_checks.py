"""What `dicom-node check` finds, and what it calls a failure."""

import json
import os
import shutil
import socket
import socketserver
import threading
from dataclasses import dataclass

import pytest
import yaml

from dicom_node.admission import Rejected
from dicom_node.analysis_settings import SHIPPED_MODELS
from dicom_node.checks import Verdict, run_checks
from dicom_node.research.keys import make_key
from dicom_node.settings import load_settings
from dicom_node.tls import ServerTls
from tests.builders.audit import collecting
from tests.builders.certificates import authority, openssl
from tests.builders.command import write_config
from tests.builders.network import HOST, free_port, running_archive, running_node
from tests.builders.packages import write_package

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@dataclass
class Configured:
    """A configuration, and what is checked with it."""

    path: object
    port: int
    environment: dict

    def check(self, subject):
        """The one check whose subject begins so."""
        settings = load_settings(self.path, self.environment)
        [found] = [check for check in run_checks(settings) if check.subject.startswith(subject)]
        return found


@pytest.fixture
def configured(tmp_path):
    """Nothing listens at the PACS, and no package is installed."""
    path, port = write_config(tmp_path, free_port())
    (tmp_path / "none").mkdir()
    return Configured(path, port, {"DICOM_NODE_MODELS__FOLDER": str(tmp_path / "none")})


def test_storage_that_is_not_there_yet_is_fine(configured):
    """It is made at the start; what counts is the folder around it."""
    check = configured.check("storage")
    assert check.verdict is Verdict.OK
    assert "GB free" in check.detail


def test_storage_below_a_file_fails(configured, tmp_path):
    """Nobody can make a folder there."""
    (tmp_path / "file").write_text("")
    configured.environment["DICOM_NODE_NODE__STORAGE"] = str(tmp_path / "file" / "var")
    check = configured.check("storage")
    assert check.verdict is Verdict.FAILED
    assert "node.storage" in check.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_storage_of_another_user_fails(configured, tmp_path):
    """The node could not write there."""
    (tmp_path / "var").mkdir(mode=0o500)
    assert configured.check("storage").verdict is Verdict.FAILED


def test_a_full_disk_fails(configured, monkeypatch):
    """Below the watermark images are refused."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    check = configured.check("storage")
    assert check.verdict is Verdict.FAILED
    assert "0xA700" in check.detail


def test_a_free_port_is_fine(configured):
    """Nothing is left listening by the check."""
    assert configured.check("port").detail == "free"
    assert configured.check("port").verdict is Verdict.OK


def test_a_port_taken_by_something_else_fails(configured):
    """It is bound, and nobody answers."""
    with socket.socket() as other:
        other.bind((HOST, configured.port))
        # not listening: a connection is refused at once
        check = configured.check("port")
    assert check.verdict is Verdict.FAILED
    assert "node.port" in check.detail


def test_a_port_taken_by_a_service_that_is_not_dicom_fails(configured):
    """It hangs up at what it does not understand."""

    class HangUp(socketserver.BaseRequestHandler):
        """Reads a little, says nothing."""

        def handle(self):
            """Until the connection closes with it."""
            self.request.recv(1)

    with socketserver.TCPServer((HOST, configured.port), HangUp) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        check = configured.check("port")
        server.shutdown()
        serving.join()
    assert check.verdict is Verdict.FAILED
    assert "node.port" in check.detail


def test_a_port_taken_by_this_node_is_fine(configured, tmp_path):
    """It rejects its own AE title, as any that is not in receive.from."""
    rejected = Rejected(1, 1, 3, "no peer has this AE title")
    with running_node(tmp_path / "own", admission=lambda _: rejected, port=configured.port):
        check = configured.check("port")
    assert check.verdict is Verdict.OK
    assert "this node is running" in check.detail


def test_a_port_taken_by_a_node_that_lets_anybody_in_fails(configured, tmp_path):
    """Ours would not let itself in."""
    with running_node(tmp_path / "other", port=configured.port):
        assert configured.check("port").verdict is Verdict.FAILED


def test_a_package_that_is_missing_is_a_warning(configured):
    """The node works without; which stages will not be attempted is told."""
    check = configured.check("model package brain-tumour-res50-unet")
    assert check.verdict is Verdict.WARNING
    assert "brain tumour" in check.detail


def test_a_package_that_is_broken_fails(configured, tmp_path):
    """Its card names another digest."""
    folder = tmp_path / "none" / "cascade-resnet50"
    folder.mkdir()
    card = json.loads((SHIPPED_MODELS / "cascade-resnet50" / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "weights.safetensors").write_text("torn")
    check = configured.check("model package cascade-resnet50")
    assert check.verdict is Verdict.FAILED
    assert "digest" in check.detail


def test_a_package_whose_tensors_do_not_fit_fails(configured, tmp_path):
    """Card and digest are right, and yet no network comes of it."""
    folder = write_package(tmp_path / "none" / "cascade-resnet50")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "questions": {"modality": ["ct", "mr", "us"]}}))
    check = configured.check("model package cascade-resnet50")
    assert check.verdict is Verdict.FAILED
    assert "do not fit architecture resnet50" in check.detail


def test_the_shipped_packages_are_whole(configured):
    """With their versions and digests."""
    del configured.environment["DICOM_NODE_MODELS__FOLDER"]
    for name in ("cascade-resnet50", "brain-tumour-res50-unet"):
        check = configured.check(f"model package {name}")
        assert check.verdict is Verdict.OK
        assert "sha256" in check.detail


@pytest.mark.parametrize(("there", "verdict"), [(True, Verdict.OK), (False, Verdict.WARNING)])
def test_a_gpu_that_is_asked_for_is_looked_for(configured, monkeypatch, there, verdict):
    """Without it studies are analysed all the same."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    configured.environment["DICOM_NODE_RUNTIME__DEVICE"] = "cuda"
    assert configured.check("GPU").verdict is verdict


def test_a_cascade_that_cannot_be_followed_fails(configured, tmp_path):
    """With what is wrong in it."""
    (tmp_path / "cascade.yaml").write_text("stages: []")
    configured.environment["DICOM_NODE_MODELS__CASCADE"] = str(tmp_path / "cascade.yaml")
    assert configured.check("cascade").verdict is Verdict.FAILED


def test_a_peer_that_answers_is_fine(configured, tmp_path):
    """By C-ECHO, at its AE title."""
    with running_archive(tmp_path / "pacs") as (_, destination):
        text = configured.path.read_text()
        pacs = f"PACS: {{ae_title: ARCHIVE, host: {HOST}, port: {destination.port}}}\n"
        configured.path.write_text("\n".join(f"  {pacs}" if "PACS: {" in line else line for line in text.splitlines()))
        check = configured.check("peer PACS")
    assert check.verdict is Verdict.OK
    assert "answered C-ECHO" in check.detail


def test_a_silent_peer_fails_only_if_it_gets_results(configured):
    """A modality that just sends need not listen."""
    assert configured.check("peer PACS").verdict is Verdict.FAILED
    configured.environment["DICOM_NODE_DELIVER__TO"] = "[]"
    check = configured.check("peer PACS")
    assert check.verdict is Verdict.WARNING
    assert "no connection" in check.detail


def with_tls(configured, files):
    """The same configuration with TLS."""
    section = f"tls: {{certificate: {files.certificate}, key: {files.key}, authorities: {files.authorities}}}"
    text = configured.path.read_text()
    configured.path.write_text(text.replace("storage: ./var", f"storage: ./var, {section}"))


@pytest.mark.parametrize(
    ("days", "verdict", "told"),
    [
        (90, Verdict.OK, "valid until 20"),
        (10, Verdict.WARNING, "in 10 days; renew it"),
        (-1, Verdict.FAILED, "expired on"),
    ],
)
def test_the_end_of_a_certificate_is_told(configured, tmp_path, days, verdict, told):
    """In good time."""
    with_tls(configured, authority(tmp_path / "hospital").sign("node", days=days))
    check = configured.check("certificate")
    assert check.verdict is verdict
    assert told in check.detail


@pytest.mark.parametrize(
    ("spoil", "verdict", "told"),
    [
        (lambda files: files.certificate.unlink(), Verdict.FAILED, "node.crt: tls.certificate: cannot be read"),
        (lambda files: files.certificate.write_text("none"), Verdict.FAILED, "node.crt: tls.certificate: holds no"),
        (lambda files: files.key.write_text("none"), Verdict.FAILED, "node.key: tls.key: holds no private key in PEM"),
        (lambda files: openssl("genpkey", "-algorithm", "ed25519", "-out", files.key), Verdict.FAILED,
         "node.key: tls.key: is not the key of"),
        (lambda files: openssl("genpkey", "-algorithm", "ed25519", "-aes128", "-pass", "pass:x", "-out", files.key),
         Verdict.FAILED, "node.key: tls.key: needs a passphrase"),
        (lambda files: files.authorities.write_text("none"), Verdict.FAILED, "tls.authorities: holds no"),
        (lambda files: files.key.chmod(0o644), Verdict.WARNING, "others may read"),
    ],
    ids=["no certificate", "no PEM", "no key", "another key", "encrypted key", "no authority", "readable key"],
)  # fmt: skip
def test_tls_files_that_cannot_be_used_are_named(configured, tmp_path, spoil, verdict, told):
    """With what to do."""
    files = authority(tmp_path / "hospital").sign("node", days=90)
    spoil(files)
    with_tls(configured, files)
    check = configured.check("certificate")
    assert check.verdict is verdict
    assert told in check.detail


def test_a_peer_is_called_over_tls(configured, tmp_path):
    """As this node is itself, when it runs."""
    files = authority(tmp_path / "hospital").sign("node", days=90)
    with_tls(configured, files)
    rejected = Rejected(1, 1, 3, "no peer has this AE title")
    tls = ServerTls(files, require_peer_certificate=True)
    with running_node(tmp_path / "own", admission=lambda _: rejected, port=configured.port, tls=tls):
        assert "this node is running" in configured.check("port").detail
    with running_node(tmp_path / "pacs", tls=tls) as pacs:
        values = yaml.safe_load(configured.path.read_text())
        values["peers"]["PACS"] |= {"ae_title": "NODE", "port": pacs.destination.port, "tls": True}
        configured.path.write_text(yaml.safe_dump(values))
        assert configured.check("peer PACS").detail.endswith("answered C-ECHO over TLS")


def test_the_collector_of_the_audit_trail_is_tried(configured, tmp_path):
    """It hears of nothing; certificates are checked both ways."""
    hospital, port = authority(tmp_path / "hospital"), free_port()
    files = hospital.sign("node", days=90)
    tls = f"{{certificate: {files.certificate}, key: {files.key}, authorities: {files.authorities}}}"
    with configured.path.open("a") as config:
        config.write(f"audit: {{syslog: {{host: {HOST}, port: {port}, tls: {tls}}}}}\n")
    check = configured.check("audit collector")
    assert (check.verdict, "Connection refused" in check.detail) == (Verdict.FAILED, True)
    with collecting(hospital.sign("collector"), port=port) as collector:
        assert configured.check("audit collector").verdict is Verdict.OK
    assert collector.heard == []
    assert configured.check("certificate").verdict is Verdict.OK


def test_a_key_for_research_copies_is_looked_at(configured, tmp_path):
    """Read as the node would read it, with its folder; what is wrong is named."""
    (tmp_path / "copies").mkdir()
    text = configured.path.read_text() + "research: {to: ./copies, key_file: research.key}\n"
    configured.path.write_text(text)
    missing = configured.check("research key")
    assert missing.verdict is Verdict.FAILED
    assert "research.key" in missing.detail
    make_key(tmp_path / "research.key")
    assert configured.check("research key").verdict is Verdict.OK
    assert configured.check("research copies").verdict is Verdict.OK
    (tmp_path / "copies").rmdir()
    assert configured.check("research copies").verdict is Verdict.FAILED
