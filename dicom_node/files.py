"""Which files a path on the command line means."""

from __future__ import annotations

from pathlib import Path


def files_under(path: Path) -> list[Path]:
    """The file itself, or every file in and below the folder, in the order of their names."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
