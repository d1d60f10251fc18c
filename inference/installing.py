"""Model packages come in, become active and go: what changes the library, one rename at a time.

A version is checked as a whole, a blank picture through its network included, before it is visible to anybody.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from inference.cards import CARD_FILE, FILES
from inference.registry import ACTIVE_FILE, BrokenPackage, Library, Package, open_package

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
#: Of all files of a package together.
_LARGEST_BYTES = 4 << 30
#: Makes a package ready; its own file, because it imports torch.
Load = Callable[[Package], object]


class InstallError(ValueError):
    """A package that cannot be installed, activated or removed; says why."""


def install(source: Path, library: Library, load: Load) -> Package:
    """Copy the package in `source`, a folder or a ZIP file, into the library, without making it active.

    Raises InstallError; then nothing has changed.
    """
    library.site.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=library.site) as incoming:
        folder = Path(incoming) / "package"
        folder.mkdir()
        _fetch(source, folder)
        package = open_package(folder)
        if isinstance(package, BrokenPackage):
            raise InstallError(f"{source}: {package.reason}")
        name, version = package.card.name, package.card.version
        for key, value in (("name", name), ("version", version)):
            if not _NAME.fullmatch(value):
                raise InstallError(f"{source}: {CARD_FILE}: {key}: {value!r} is more than letters, digits and . _ + -")
        target = library.site / name / version
        if target.exists():
            raise InstallError(f"{name} {version} is installed already; give another version, or remove that one")
        loaded = load(package)
        if isinstance(loaded, BrokenPackage):
            raise InstallError(f"{source}: {loaded.reason}")
        target.parent.mkdir(exist_ok=True)
        folder.rename(target)
        _sync(target.parent)
    return Package(target, package.card, package.digest)


def activate(name: str, version: str, library: Library) -> None:
    """From the next start on, stages that ask for the package get this version. Raises InstallError."""
    wanted = next((each for each in library.versions() if each.name == name and each.number == version), None)
    if wanted is None:
        known = ", ".join(each.number for each in library.versions() if each.name == name) or "none"
        raise InstallError(f"{name} {version} is not installed; installed are: {known}")
    if isinstance(wanted.package, BrokenPackage):
        raise InstallError(f"{name} {version}: {wanted.package.reason}")
    if not wanted.active:
        _write_history(name, (*library.history(name), wanted.folder), library)


def rollback(name: str, library: Library) -> str:
    """Make active again what was before; its version. Raises InstallError."""
    history = library.history(name)
    if not history:
        raise InstallError(f"{name} was never activated in another version than the one it came with")
    _write_history(name, history[:-1], library)
    active = [each.number for each in library.versions() if each.name == name and each.active]
    return active[0] if active else "none"


def remove(name: str, version: str, library: Library) -> None:
    """Delete a version that is not active. Raises InstallError."""
    found = [each for each in library.versions() if each.name == name and each.number == version]
    removable = [each for each in found if not each.shipped and not each.active]
    if not removable:
        states = {"active": any(each.active for each in found), "shipped with the node": any(e.shipped for e in found)}
        why = " and ".join(state for state, holds in states.items() if holds) or "not installed"
        raise InstallError(f"{name} {version} is {why}")
    history = library.history(name)
    if removable[0].folder in history:
        _write_history(name, tuple(each for each in history if each != removable[0].folder), library)
    shutil.rmtree(library.site / name / removable[0].folder)


def _write_history(name: str, history: tuple[str, ...], library: Library) -> None:
    folder = library.site / name
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{ACTIVE_FILE}.part"
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{version}\n" for version in history)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / ACTIVE_FILE)
    _sync(folder)


def _fetch(source: Path, folder: Path) -> None:
    """The files a package may have, and no others."""
    try:
        if source.is_dir():
            _check_size(sum((source / name).stat().st_size for name in FILES if (source / name).is_file()))
            for name in FILES:
                if (source / name).is_file():
                    shutil.copyfile(source / name, folder / name)
        else:
            _unpack(source, folder)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InstallError(f"{source} cannot be read as a folder or a ZIP file of a model package: {error}") from error


def _unpack(source: Path, folder: Path) -> None:
    """Files are found by their names alone, wherever in the archive they lie: no path of it is ever used."""
    with zipfile.ZipFile(source) as archive:
        members = [member for member in archive.infolist() if Path(member.filename).name in FILES]
        _check_size(sum(member.file_size for member in members))
        for member in members:
            target = folder / Path(member.filename).name
            if target.exists():
                raise InstallError(f"{source} holds {target.name} twice; one package is in one file")
            with archive.open(member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)  # zipfile reads no more than the size that was checked


def _check_size(size: int) -> None:
    if size > _LARGEST_BYTES:
        raise InstallError(f"its files have {size / 1e9:.1f} GB, and {_LARGEST_BYTES / 1e9:.1f} GB is the most")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
