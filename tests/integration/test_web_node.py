"""A whole node with a web server: from the configuration to the store, and clean ends."""

import socket
import urllib.error
import urllib.request

import pytest

from dicom_node import app
from dicom_node.app import Node
from dicom_node.domain.web import WebDestination
from dicom_node.settings import load_settings
from dicom_node.stow import open_stow
from dicom_node.web.multipart_related import BLOCK_BYTES
from tests.builders.command import eventually, write_config
from tests.builders.datasets import encoded
from tests.builders.network import HOST, PATIENCE_S, free_port, image_series, saved
from tests.builders.uploads import RELATED, related
from tests.builders.web import bearer, secret_file


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Of a node that takes uploads, whose worker nobody wakes."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    config, _ = write_config(tmp_path, free_port(), quiet_seconds=3600)
    web = f"web: {{port: {free_port()}, stow: {{from: {{MODALITY: {{token_file: token}}}}}}}}\n"
    config.write_text(config.read_text() + web)
    secret_file(tmp_path / "token", "a-token")
    return load_settings(config, {})


@pytest.fixture
def node(settings):
    """It runs."""
    running = Node(settings)
    running.start()
    yield running
    running.stop()


def test_an_upload_is_received_like_an_association(node, settings, tmp_path):
    """It is recorded with its sender's name, its study is being received, and who called is known."""
    image = image_series()[0]
    there = WebDestination("here", f"http://{HOST}:{settings.web.port}/dicom-web", bearer(tmp_path / "token"))
    with open_stow(there) as sender:
        assert sender.send(saved(image, tmp_path / "sent")) == 0
    [activity] = node.store.receiving()
    assert (activity.study_instance_uid, activity.image_count) == (image.StudyInstanceUID, 1)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{there.url}/studies", data=b"", timeout=PATIENCE_S)
    assert eventually(lambda: len(node.store.calls.latest()) == 2, PATIENCE_S)
    assert {call.calling_ae_title for call in node.store.calls.latest()} == {"MODALITY", "(web)"}


def test_a_study_waits_for_its_open_uploads(node, settings):
    """They count as associations do."""
    images = image_series()
    images[1].PixelData = bytes(BLOCK_BYTES)
    study, body = images[0].StudyInstanceUID, related([encoded(image) for image in images])
    header = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token\r\n\
Content-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((HOST, settings.web.port), PATIENCE_S) as upload:
        upload.sendall(header.encode() + body[:-10])
        assert eventually(lambda: node._open_senders(study) == 1, PATIENCE_S)
        upload.sendall(body[-10:])
        assert upload.recv(12) == b"HTTP/1.1 200"
    assert eventually(lambda: node._open_senders(study) == 0, PATIENCE_S)


def test_a_taken_port_is_told_and_leaves_nothing_behind(settings):
    """With the address that is taken; the node can be started again."""
    with socket.socket() as other:
        other.bind((HOST, settings.web.port))
        other.listen()
        node = Node(settings)
        with pytest.raises(OSError, match="in use") as caught:
            node.start()
        node.stop()
    assert caught.value.filename == f"{HOST}:{settings.web.port}"
    again = Node(settings)
    again.start()
    again.stop()
