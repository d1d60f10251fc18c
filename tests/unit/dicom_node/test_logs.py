"""The log is one line an event, whoever writes into it."""

import subprocess
import sys

_PROGRAM = """
import logging
from dicom_node.logs import configure_logging
configure_logging("info")
logging.getLogger("dicom_node").warning("Answered 0xC000 to %s", "1.2\\n2026-01-01 INFO all is well\\x1b[2J")
"""


def test_a_caller_cannot_write_lines_of_his_own():
    """Nor escape sequences for whoever reads the log on a terminal."""
    told = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stderr
    assert told.count("\n") == 1
    assert told.endswith("Answered 0xC000 to 1.2?2026-01-01 INFO all is well?[2J\n")
