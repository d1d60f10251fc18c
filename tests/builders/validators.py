"""Validators of DICOM objects that are not ours, over objects and files of tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from dicom_node.validator_messages import Message, Weight, messages_of
from dicom_node.validators import TOOLS, run


def errors_of(tool_name: str, path: Path) -> list[Message]:
    """Real errors that one tool finds in a file; skips the test where it is not installed."""
    tool = next(tool for tool in TOOLS if tool.name == tool_name)
    if not tool.is_installed:
        pytest.skip(f"{tool.name} is not installed (package {tool.package}); it would check objects independently")
    told = run(tool, path)
    assert told.exit_code is not None, f"{tool.name} did not come to an end: nothing is known of the file"
    messages = messages_of(tool.name, told.lines, told.exit_code, dcmread(path, stop_before_pixels=True).SOPClassUID)
    return [message for message in messages if message.weight is Weight.ERROR]


def dciodvfy_errors(path: Path) -> list[str]:
    """What dciodvfy (dicom3tools) finds wrong with one file."""
    return [f"{message.rule}: {message.explanation}" for message in errors_of("dciodvfy", path)]


def written(results: Sequence[Dataset], folder: Path) -> list[Path]:
    """Result objects as files."""
    paths = [folder / f"{number}_{result.Modality}.dcm" for number, result in enumerate(results)]
    for path, result in zip(paths, results, strict=True):
        dcmwrite(path, result, enforce_file_format=True)
    return paths
