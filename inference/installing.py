"""Model packages come in, become active and go: what changes the library, one rename at a time.

A version is checked as a whole, a blank picture through its network included, before it is visible to anybody.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from inference.cards import CARD_FILE, FILES
from inference.registry import ACTIVE_FILE, BrokenPackage, Library, Package, open_package

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
#: Of all files of a package together.
_LARGEST_BYTES = 4 << 30
#: What a damaged, encrypted or exotic ZIP file is met with.
_UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
#: Makes a package ready; its own file, because it imports torch.
Load = Callable[[Package], object]


class InstallError(ValueError):
    """A package that cannot be installed, activated or removed; says why."""


def install(source: Path, library: Library, load: Load) -> Package:
    """Copy the package in `source`, a folder or a ZIP file, into the library, without making it active.

    Raises InstallError; then nothing has changed.
    """
    with _changing(library):
        library.site.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=library.site) as incoming:
            folder = Path(incoming) / "package"
            folder.mkdir()
            _fetch(source, folder)
            package = open_package(folder)
            if isinstance(package, BrokenPackage):
                raise InstallError(f"{source}: {package.reason}")
            target = _place_for(package, source, library)
            loaded = load(package)
            if isinstance(loaded, BrokenPackage):
                raise InstallError(f"{source}: {loaded.reason}")
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
            _sync(target.parent)
    return Package(target, package.card, package.digest)


def _place_for(package: Package, source: Path, library: Library) -> Path:
    """Where it will lie. Raises InstallError where its card's name or version cannot be a folder, or is taken."""
    name, version = package.card.name, package.card.version
    for key, value in (("name", name), ("version", version)):
        if not _NAME.fullmatch(value):
            raise InstallError(f"{source}: {CARD_FILE}: {key}: {value!r} is more than letters, digits and . _ + -")
    if version.upper() == ACTIVE_FILE:
        raise InstallError(f"{source}: {CARD_FILE}: version: {version!r} is a name the node uses itself; give a number")
    target = library.site / name / version
    known = library.find(name, version)
    if target.exists() or (known is not None and known.shipped):
        raise InstallError(f"{name} {version} is installed already; give another version, or remove that one")
    return target


def activate(name: str, version: str, library: Library) -> None:
    """From the next start on, stages that ask for the package get this version. Raises InstallError."""
    with _changing(library):
        wanted = library.find(name, version)
        if wanted is None:
            known = ", ".join(each.number for each in library.versions() if each.name == name) or "none"
            raise InstallError(f"{name} {version} is not installed; installed are: {known}")
        if isinstance(wanted.package, BrokenPackage):
            raise InstallError(f"{name} {version}: {wanted.package.reason}")
        if not wanted.active:
            _write_history(name, (*library.history(name), wanted.folder), library)


def rollback(name: str, library: Library) -> str:
    """Make active again what was before; its version, "none" where there was none. Raises InstallError."""
    with _changing(library):
        history = library.history(name)
        if not history:
            raise InstallError(f"{name} was never activated in another version than the one it came with")
        before = ("", *history)[-2]
        wanted = next((each for each in library.versions() if each.name == name and each.folder == before), None)
        if wanted is None and before:
            raise InstallError(f"{name} {before}, which was active before, is not installed; activate another")
        if wanted is not None and isinstance(wanted.package, BrokenPackage):
            raise InstallError(f"{name} {wanted.number}: {wanted.package.reason}, or activate another")
        _write_history(name, history[:-1], library)
    return wanted.number if wanted else "none"


def remove(name: str, version: str, library: Library) -> None:
    """Delete a version that is not active. Raises InstallError."""
    with _changing(library):
        found = library.find(name, version)
        if found is None or found.active or found.shipped:
            states = {"active": found and found.active, "shipped with the node": found and found.shipped}
            why = " and ".join(state for state, holds in states.items() if holds) or "not installed"
            raise InstallError(f"{name} {version} is {why}")
        history = library.history(name)
        if found.folder in history:
            _write_history(name, _without(found.folder, history), library)
        shutil.rmtree(library.site / name / found.folder)


def _without(folder: str, history: tuple[str, ...]) -> tuple[str, ...]:
    """Two neighbours that become the same become one, or a step back would lead nowhere."""
    kept = (each for each in ("", *history) if each != folder)
    return tuple(each for each, _ in groupby(kept))[1:]


@contextmanager
def _changing(library: Library) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "run this as the service's user, and see whether the disk is full"
        raise InstallError(f"{library.site} cannot be changed: {error.strerror}; {remedy}") from error


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
    except _UNREADABLE as error:
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
