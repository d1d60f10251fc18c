"""A disk that is full, on a file system of its own: refused, explained, and back to work when there is room."""

import contextlib
import datetime
import shutil
import subprocess

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.phantoms import phantom_studies
from dicom_node.sending import send_folder
from tests.builders.command import eventually, serving, write_config
from tests.builders.network import HOST, free_port, running_archive, saved

WHEN = datetime.datetime(2026, 11, 20, 11, 0, tzinfo=datetime.UTC)
MEGABYTES = 24
LEAST_FREE_MB = 8


@pytest.fixture
def small_disk(tmp_path):
    """An empty file system of its own; skips the test where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=0700", "tmpfs", place], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("no file system may be mounted here (needs root)")
    yield place
    subprocess.run(["umount", place], check=True)


def filled(disk, leave_mb):
    """A file that leaves so much room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free > leave_mb << 20:
            file.write(bytes(4096))
    return ballast


def test_a_full_disk_is_refused_and_recovers_by_itself(small_disk, tmp_path):
    """Below the watermark 0xA700 and no half file; with no room at all studies wait, and the log says for what; with
    room again everything goes on."""
    pacs_port = free_port()
    config, port = write_config(tmp_path / "node", pacs_port)
    content = config.read_text().replace("storage: ./var", f"storage: {small_disk / 'var'}")
    content = content.replace("from: [PACS]", f"from: [PACS], minimum_free_mb: {LEAST_FREE_MB}")
    (tmp_path / "none").mkdir()  # no model packages: every report says so, and takes no time
    config.write_text(content + "models: {folder: ../none}\n")
    study = next(study for study in phantom_studies(401, WHEN) if study.kind == "knee MR")
    for instance in study.instances[:6]:
        saved(instance, tmp_path / "sent")
    here = Destination("node", "AINODE", HOST, port)

    def problems():
        return [result.problem for result in send_folder(tmp_path / "sent", here, "PACS")]

    with running_archive(tmp_path / "pacs", port=pacs_port) as (archive, _), serving(config, port) as node:
        ballast = filled(small_disk, leave_mb=LEAST_FREE_MB - 1)
        refused = problems()
        assert all("0xA700" in problem and "disk nearly full" in problem for problem in refused), refused
        assert list((small_disk / "var").rglob("*.dcm")) == []
        assert not any(path.stat().st_size for path in (small_disk / "var" / "incoming").iterdir())
        ballast.unlink()
        assert problems() == [""] * 6
        filled(small_disk, leave_mb=0)
        assert eventually(lambda: "make room" in node.log.read_text())
        ballast.unlink()
        assert eventually(lambda: node.study(study.study_instance_uid).get("state") in ("done", "failed"))
        told = node.study(study.study_instance_uid)
        assert told["state"] == "done", told
        assert len(archive.instances(study.study_instance_uid)) == 1
        assert "Traceback" not in node.log.read_text()
