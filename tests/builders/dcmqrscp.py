"""DCMTK's small archive on a loopback port, started and ended by the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError
from dicom_node.peers import echo
from tests.builders.command import eventually
from tests.builders.network import HOST, free_port

_CONFIGURATION = """\
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{ae_title} {folder} RW (20, 100mb) ANY
AETable END
"""


@contextmanager
def running_dcmqrscp(folder: Path, ae_title: str = "DCMQRSCP") -> Iterator[Destination]:
    """An archive that stores and answers queries; skips the test where DCMTK is not installed."""
    program = shutil.which("dcmqrscp")
    if program is None:
        pytest.skip("dcmqrscp is not installed (apt-get install dcmtk)")
    destination = Destination("dcmqrscp", ae_title, HOST, free_port())
    database = folder / "database"
    database.mkdir(parents=True)
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        _CONFIGURATION.format(port=destination.port, ae_title=ae_title, folder=database), encoding="utf-8"
    )
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with (folder / "dcmqrscp.log").open("w") as log:
        command = [program, "--config", str(configuration)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            assert eventually(lambda: _answers(destination), 30), (folder / "dcmqrscp.log").read_text()
            yield destination
        finally:
            process.terminate()
            process.wait(30)


def _answers(destination: Destination) -> bool:
    try:
        echo(destination, "TESTER")
    except DeliveryError:
        return False
    return True
