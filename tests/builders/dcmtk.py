"""Runs the tools of DCMTK, an implementation of DICOM that is not ours, against the code under test."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def dcmtk(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one tool to its end, without Nagle's delay; skips the test where DCMTK is not installed."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (apt-get install dcmtk)")
    command = [tool, *map(str, arguments)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
