"""Converted networks of the shipped packages, kept between the tests' nodes: each would convert them anew otherwise."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

#: Ignored by git; emptied of what weights or libraries have made obsolete.
KEPT = Path(__file__).parents[2] / ".cache" / "compiled"


def lend(storage: Path) -> None:
    """Let a node that begins with this storage folder find what others have converted."""
    folder = storage / "compiled"
    if storage.exists() or not KEPT.is_dir():
        return
    storage.mkdir(parents=True, mode=0o700)
    folder.mkdir(mode=0o700)
    for network in KEPT.iterdir():
        if not network.name.startswith("."):
            (folder / network.name).symlink_to(network)


def take_back(storage: Path) -> None:
    """Keep what a node that has ended converted itself; tests side by side may do the same at once."""
    folder = storage / "compiled"
    for network in folder.iterdir() if folder.is_dir() else ():
        if network.is_symlink() or network.name.startswith(".") or (KEPT / network.name).exists():
            continue
        KEPT.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=KEPT))
        shutil.copytree(network, part, dirs_exist_ok=True)
        try:
            part.rename(KEPT / network.name)
        except OSError:  # another was quicker
            shutil.rmtree(part)
            continue
        package, _, _ = network.name.rpartition("-")
        for other in KEPT.glob(f"{package}-*"):
            if other.name != network.name and other.name.rpartition("-")[0] == package:
                shutil.rmtree(other, ignore_errors=True)
