"""A web server that takes uploads, on the loopback interface, and clients for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from dicom_node.domain.calls import Call
from dicom_node.domain.study import InstanceKind
from dicom_node.receiving import Receiver
from dicom_node.scp import storage_sop_classes
from dicom_node.spool import Spool
from dicom_node.tls import ServerTls
from dicom_node.web.access import KnownSender
from dicom_node.web.multipart_related import PartBounds
from dicom_node.web.server import WebListener, WebServer
from dicom_node.web.store_instances import Hearers, StoreBounds, StoreInstances
from dicom_node.web.uploads import Uploads
from tests.builders.network import HOST, MemoryRegister, free_port

BOUNDARY = "boundary-of-a-test"
RELATED = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
ANYBODY = KnownSender("TESTER", None, None)


@dataclass(frozen=True)
class Said:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    told: dict[str, Any]

    def items(self, tag: str) -> list[dict[str, Any]]:
        """Those of one sequence, each its values by tag."""
        items = self.told.get(tag, {}).get("Value", [])
        return [{key: element.get("Value", [None])[0] for key, element in item.items()} for item in items]

    @property
    def stored(self) -> list[str]:
        """SOP Instance UIDs."""
        return [item["00081155"] for item in self.items("00081199")]

    @property
    def failed(self) -> dict[str, int]:
        """Failure Reasons by SOP Instance UID."""
        return {item["00081155"]: item["00081197"] for item in self.items("00081198")}

    @property
    def unreadable(self) -> list[int]:
        """Failure Reasons of parts that have no name."""
        return [item["00081197"] for item in self.items("0008119A")]


@dataclass(frozen=True)
class UploadNode:
    """A web server under test, and all it has touched."""

    port: int
    folder: Path
    register: MemoryRegister
    uploads: Uploads
    calls: list[Call] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """Every instance file, of the spool and in conflict."""
        return sorted(self.folder.rglob("*.dcm"))

    @property
    def leftovers(self) -> list[Path]:
        """Whatever is left of what was being received."""
        return list((self.folder / "incoming").iterdir())

    def post(self, body: object, path: str = "/dicom-web/studies", **headers: str) -> Said:
        """Send a body; the answer."""
        fields = {"Content-Type": RELATED} | {name.replace("_", "-"): value for name, value in headers.items()}
        with urllib3.PoolManager(retries=False, timeout=30) as pool:
            answer = pool.request("POST", f"http://{HOST}:{self.port}{path}", body=body, headers=fields)
        fields = {name.lower(): value for name, value in answer.headers.items()}
        return Said(answer.status, fields, json.loads(answer.data) if "json" in fields.get("content-type", "") else {})


def part(content: bytes, content_type: str | None = "application/dicom") -> bytes:
    """One part with its delimiter in front."""
    header = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    return f"--{BOUNDARY}\r\n{header}\r\n".encode() + content + b"\r\n"


def related(contents: Sequence[bytes]) -> bytes:
    """A whole body of these parts."""
    return b"".join(map(part, contents)) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def running_web(
    folder: Path,
    *,
    senders: Sequence[KnownSender] = (ANYBODY,),
    register: MemoryRegister | None = None,
    part_bytes: int = 64 << 20,
    idle_s: float = 30.0,
    header_s: float = 30.0,
    minimum_free_bytes: int = 0,
    tls: ServerTls | None = None,
    most_connections: int = 128,
) -> Iterator[UploadNode]:
    """A web server that stores, until the block ends."""
    register = register or MemoryRegister()
    receiver = Receiver(
        Spool(folder, minimum_free_bytes=0), register, lambda _class, _instance, _maker: InstanceKind.IMAGE
    )
    bounds = StoreBounds(PartBounds(part_bytes, folder / "incoming", minimum_free_bytes), idle_s)
    calls: list[Call] = []
    hearers = Hearers(calls.append, lambda *_: None)
    service = StoreInstances(receiver, lambda: senders, storage_sop_classes(), bounds, hearers)
    port = free_port()
    server = WebServer(WebListener(HOST, port, header_s, tls, most_connections), service.routes)
    server.start()
    try:
        yield UploadNode(port, folder, register, service.uploads, calls)
    finally:
        server.stop(grace_s=5.0)
