"""A real Orthanc on loopback ports, started and ended by the test."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.delivery import Destination
from tests.builders.command import eventually
from tests.builders.network import HOST, free_port


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http_port: int

    def get(self, path: str) -> Any:
        """An answer of its REST interface."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: bytes, method: str = "POST") -> Any:
        """What it answers to a POST, or a PUT."""
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}{path}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def instances(self) -> list[dict[str, str]]:
        """The main tags of every instance it has."""
        return [self.get(f"/instances/{each}/simplified-tags") for each in self.get("/instances")]

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.get("/system"))
        except OSError:
            return False


def dicomweb_plugin() -> Path:
    """Its plugin for DICOMweb; skips the test where it is not installed."""
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not plugin.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed (apt-get install orthanc-dicomweb)")
    return plugin


@contextmanager
def running_orthanc(
    folder: Path, modalities: Sequence[Destination] = (), *, dicom_port: int | None = None, plugins: Sequence[Path] = ()
) -> Iterator[Orthanc]:
    """Orthanc called PACS that knows these peers; without a port it speaks HTTP only.

    Skips the test where it is not installed.
    """
    program = shutil.which("Orthanc")
    if program is None:
        pytest.skip("Orthanc is not installed (apt-get install orthanc)")
    orthanc = Orthanc(free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "PACS",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(plugin) for plugin in plugins],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": orthanc.http_port,
        "DicomServerEnabled": dicom_port is not None,
        "DicomAet": "PACS",
        "DicomPort": dicom_port or 0,
        "DicomAlwaysAllowStore": False,
        "DicomCheckCalledAet": True,
        "DicomModalities": {
            peer.name: {"AET": peer.ae_title, "Host": peer.host, "Port": peer.port, "AllowStore": True}
            for peer in modalities
        },
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(path)], stdout=log, stderr=log)
        try:
            assert eventually(orthanc.is_up, 30), (folder / "orthanc.log").read_text()
            yield orthanc
        finally:
            process.terminate()
            process.wait(30)
