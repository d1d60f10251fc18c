"""The real command over TLS: who gets in, what the doctor tells of the others, and who may read what is on disk."""

import json
import stat
from dataclasses import replace

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import PeerUnreachable
from dicom_node.peers import echo
from dicom_node.storage_scu import ContextWish, open_storage
from tests.builders.certificates import authority
from tests.builders.command import eventually, run, serving, write_config
from tests.builders.network import HOST, free_port, image_series, saved

# pynetdicom drops the socket of a connection that was refused or closed on it without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def hospital(tmp_path):
    """The authority that the node believes."""
    return authority(tmp_path / "hospital")


def with_tls(folder, files):
    """The smallest configuration, over TLS; the file and the port."""
    config, port = write_config(folder, free_port())
    section = f"tls: {{certificate: {files.certificate}, key: {files.key}, authorities: {files.authorities}}}"
    config.write_text(config.read_text().replace("storage: ./var", f"storage: ./var, {section}"))
    return config, port


def test_only_certificates_get_in_and_the_doctor_tells_of_the_others(tmp_path, hospital):
    """Everything on disk is the node's user's alone."""
    config, port = with_tls(tmp_path, hospital.sign("node"))
    [dataset, *_] = image_series()
    wish = ContextWish(dataset.SOPClassUID, "1.2.840.10008.1.2.1")
    secured = Destination("node", "AINODE", HOST, port, hospital.sign("pacs"))

    def listed():
        told = run("doctor", "--config", config, "--json")
        assert told.returncode == 0, told.stderr
        return {(call["outcome"], call["calling_ae_title"]) for call in json.loads(told.stdout)}

    with serving(config, port) as node:
        with pytest.raises(PeerUnreachable):
            echo(replace(secured, tls=None), "PACS")
        with open_storage(secured, "PACS", {wish}) as sender:
            assert sender.send(saved(dataset, tmp_path / "sent")) == 0
        assert dataset.StudyInstanceUID in node.studies()
        assert eventually(lambda: ("no TLS", "") in listed())
        kept = list((tmp_path / "var").rglob("*"))
        assert any(path.suffix == ".dcm" for path in kept)
        assert [path for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_tls_files_that_cannot_be_used_are_a_wrong_configuration(tmp_path, hospital):
    """Told at the start with file and remedy, by the exit status that has no service restarted."""
    files = hospital.sign("node")
    files.key.unlink()
    config, _ = with_tls(tmp_path, files)
    served = run("serve", "--config", config)
    assert served.returncode == 2
    assert "node.key: tls.key: cannot be read: No such file or directory; name a PEM file" in served.stderr
