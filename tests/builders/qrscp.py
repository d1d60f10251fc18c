"""A real archive that answers queries and gives what it holds: dcmqrscp of DCMTK, started and ended by the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.domain.delivery import Destination
from tests.builders.command import eventually
from tests.builders.network import HOST, free_port


@contextmanager
def running_dcmqrscp(folder: Path, known: Sequence[Destination] = ()) -> Iterator[Destination]:
    """A dcmqrscp called PACS that sends to these peers; skips the test where it is not installed."""
    program = shutil.which("dcmqrscp")
    if program is None:
        pytest.skip("dcmqrscp is not installed (apt-get install dcmtk)")
    pacs = Destination("PACS", "PACS", HOST, free_port())
    (folder / "db").mkdir(parents=True)
    hosts = "\n".join(f"{peer.name} = ({peer.ae_title}, {peer.host}, {peer.port})" for peer in known)
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {pacs.port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS {folder / 'db'} RW (100, 1024mb) ANY\nAETable END\n",
        encoding="utf-8",
    )
    with (folder / "dcmqrscp.log").open("w") as log:
        process = subprocess.Popen(
            [program, "-c", str(configuration)], stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"}
        )
        try:
            assert eventually(lambda: _listens(pacs.port), 30), (folder / "dcmqrscp.log").read_text()
            yield pacs
        finally:
            process.terminate()
            process.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
