"""A study passes by events alone: whatever the node else looks for by the clock is an hour away."""

from pathlib import Path

import pytest

from dicom_node import app
from dicom_node.app import Node
from dicom_node.domain.delivery import Destination
from dicom_node.sending import send_folder
from dicom_node.settings import load_settings
from tests.builders.command import eventually
from tests.builders.network import HOST, free_port, image_series, running_archive, saved

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def configuration(folder: Path, pacs_port: int, query: str, quiet_seconds: float):
    """A node without a single model, which reports that it could not answer."""
    folder.mkdir()
    (folder / "node.yaml").write_text(
        f"node: {{ae_title: AINODE, host: {HOST}, port: {free_port()}, storage: ./var}}\n"
        f"peers: {{PACS: {{ae_title: ARCHIVE, host: {HOST}, port: {pacs_port}, query: {query}}}}}\n"
        "receive: {from: [PACS], minimum_free_mb: 1}\ndeliver: {to: [PACS]}\nmodels: {folder: ./none}\n"
        f"settle: {{quiet_seconds: {quiet_seconds}}}\n"
    )
    return load_settings(folder / "node.yaml", {})


@pytest.mark.parametrize(("query", "quiet_seconds"), [("false", 0.3), ("true", 86400.0)], ids=["quiet time", "count"])
def test_a_study_passes_without_the_clock(tmp_path, monkeypatch, query, quiet_seconds):
    """Received, settled by quiet time or by what the PACS holds, claimed, analysed and delivered."""
    for interval in ("_SETTLE_EVERY_S", "_WAKE_EVERY_S", "_DELIVER_EVERY_S"):
        monkeypatch.setattr(app, interval, 3600.0)
    images = image_series()
    for image in images:
        saved(image, tmp_path / "sent")
    with running_archive(tmp_path / "pacs") as (archive, pacs):
        settings = configuration(tmp_path / "node", pacs.port, query, quiet_seconds)
        node = Node(settings)
        node.start()
        try:
            for to, calling in ((pacs, "MODALITY"), (own(settings), pacs.ae_title)):
                assert all(result.arrived for result in send_folder(tmp_path / "sent", to, calling))
            assert eventually(lambda: len(archive.instances(images[0].StudyInstanceUID)) == len(images) + 1)
        finally:
            node.stop()


def own(settings):
    """The node as the PACS calls it."""
    return Destination("node", settings.node.ae_title, settings.node.host, settings.node.port)
