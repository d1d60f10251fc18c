"""Validators of DICOM objects that are not ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def dciodvfy_errors(path: Path) -> list[str]:
    """The Error lines of dciodvfy (dicom3tools) for one file; skips the test where it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; apt-get install dicom3tools to check objects against their IODs")
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]
