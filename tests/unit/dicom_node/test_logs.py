"""The log is one line an event, whoever writes into it."""

import logging

import pytest

from dicom_node.logs import configure_logging


@pytest.fixture
def node_log(capsys):
    """As a process of the node sets it up, put back afterwards."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("highdicom", "pydicom", "pynetdicom", "apscheduler")}
    handlers, level = root.handlers[:], root.level
    configure_logging("info")
    yield logging.getLogger("dicom_node.tests")
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_caller_cannot_write_lines_of_his_own(node_log, capsys):
    """Nor escape sequences for whoever reads the log on a terminal."""
    node_log.warning("Answered 0xC000 to %s", "1.2\n2026-01-01T00:00:00.000Z INFO all is well\x1b[2J")
    [line] = capsys.readouterr().err.splitlines()
    assert "Answered 0xC000 to 1.2\N{REPLACEMENT CHARACTER}2026" in line
    assert "\x1b" not in line
