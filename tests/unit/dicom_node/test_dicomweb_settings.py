"""Peers of the configuration that are web servers: what is written, and what is told when it is wrong."""

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import SettingsError
from dicom_node.domain.web import Credentials, HttpsFiles, Scheme, WebDestination
from dicom_node.settings import load_settings

FILE = """\
node: {{ae_title: AINODE}}
peers:
  PACS: {{ae_title: PACS, host: 127.0.0.1, port: 4242}}
  ARCHIVE: {archive}
receive: {{from: {senders}}}
deliver: {{to: [PACS, ARCHIVE]}}
"""


@pytest.fixture
def load(tmp_path):
    """Settings with this archive."""

    def load(archive, senders="[PACS]"):
        path = tmp_path / "node.yaml"
        path.write_text(FILE.format(archive=archive, senders=senders))
        return load_settings(path, {})

    return load


def test_a_web_server_is_a_peer_like_others(load, tmp_path):
    """It gets results; its files lie beside the configuration."""
    tls = "{authorities: a, certificate: c, key: k}"
    settings = load(f"{{dicomweb: 'https://pacs.example.org/dicom-web/', token_file: t, tls: {tls}}}")
    credentials = Credentials(Scheme.BEARER, tmp_path / "t")
    https = HttpsFiles(tmp_path / "c", tmp_path / "k", tmp_path / "a")
    expected = WebDestination("ARCHIVE", "https://pacs.example.org/dicom-web", credentials, https)
    assert settings.way_out("ARCHIVE") == expected
    assert settings.way_out("PACS") == settings.destination("PACS") == Destination("PACS", "PACS", "127.0.0.1", 4242)
    assert settings.dimse_peers.keys() == {"PACS"}


def test_it_has_no_ae_title_to_talk_to(load):
    """Who wants an association is told which peers have one."""
    with pytest.raises(SettingsError, match=r"DICOMweb only.*known: PACS"):
        load("{dicomweb: 'https://pacs.example.org'}").destination("ARCHIVE")


def test_a_login_is_for_basic_authentication(load, tmp_path):
    """Instead of a token; unencrypted it may go to this machine."""
    way = load("{dicomweb: 'http://127.0.0.1:8042/dicom-web', login_file: l}").way_out("ARCHIVE")
    assert way.credentials == Credentials(Scheme.BASIC, tmp_path / "l")


@pytest.mark.parametrize(
    ("archive", "senders", "fault"),
    [
        ("{dicomweb: 'ftp://x'}", "[PACS]", "peers.ARCHIVE.dicomweb: expected the URL"),
        ("{dicomweb: 'https://user:word@x'}", "[PACS]", "peers.ARCHIVE.dicomweb: expected the URL"),
        ("{dicomweb: 'https://x?y=z'}", "[PACS]", "peers.ARCHIVE.dicomweb: expected the URL"),
        ("{dicomweb: 'https://x:99999'}", "[PACS]", "peers.ARCHIVE.dicomweb: expected the URL"),
        ("{dicomweb: 'https://x', token: y}", "[PACS]", "peers.ARCHIVE.token: unknown key; did you mean token_file?"),
        ("{dicomweb: 'https://x', port: 1}", "[PACS]", "peers.ARCHIVE.port: unknown key"),
        ("{dicomweb: 'https://x', tls: {ca: y}}", "[PACS]", "peers.ARCHIVE.tls.ca: unknown key; known: authorities"),
        ("{dicomweb: 'https://x', tls: {key: y}}", "[PACS]", "peers.ARCHIVE.tls: has only one of certificate and key"),
        ("{dicomweb: 'https://x', token_file: a, login_file: b}", "[PACS]", "peers.ARCHIVE.login_file: has both"),
        ("{dicomweb: 'http://x', token_file: a}", "[PACS]", "peers.ARCHIVE.dicomweb: token or password would go over"),
        ("{dicomweb: 'https://x'}", "[ARCHIVE]", "receive.from[0]: 'ARCHIVE' is reached by DICOMweb"),
        ("{ae_title: X, host: h}", "[PACS]", "peers.ARCHIVE.port: missing"),
        ("5", "[PACS]", "peers.ARCHIVE: expected a section with the keys ae_title"),
    ],
)
def test_faults_are_told_with_their_key(load, archive, senders, fault):
    """As it is written in the file, and with its line."""
    with pytest.raises(SettingsError) as caught:
        load(archive, senders)
    [told] = caught.value.faults
    assert str(told).partition(": ")[2].startswith(fault)
    assert told.line == (5 if senders == "[ARCHIVE]" else 4)
