"""Which model packages are installed, and whether each is whole: card readable, weights as the card says.

A package is a folder with card.json and the files that it names. A package that is not whole is listed with its
reason and never loaded. Importable without torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inference.cards import CARD_FILE, Card
from inference.findings import Algorithm

ACTIVE_FILE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Package:
    """A model package that is whole."""

    folder: Path
    card: Card
    #: sha256 of card.json, which itself names the weights' digest: any change of either changes it.
    digest: str

    @property
    def algorithm(self) -> Algorithm:
        """How result objects name it."""
        point = self.card.operating_point
        parameters = [(f"minimum score, {question}", f"{score:g}") for question, score in point.minimum_score.items()]
        if not parameters:
            parameters = [
                ("threshold", f"{point.threshold:g}"),
                ("minimum volume in mL", f"{point.minimum_volume_ml:g}"),
            ]
        return Algorithm(self.card.name, self.card.version, self.card.manufacturer, self.digest, tuple(parameters))


@dataclass(frozen=True, slots=True)
class BrokenPackage:
    """A folder that should be a model package and is not usable."""

    folder: Path
    reason: str


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_package(folder: Path) -> Package | BrokenPackage:
    """Check one package folder from card to weights; nothing in it is run."""
    card_path = folder / CARD_FILE
    try:
        card = Card.model_validate_json(card_path.read_bytes())
        for name, digest in ((card.file, card.weights_sha256), *card.further_sha256.items()):
            if sha256_of(folder / name) != digest:
                return _broken(folder, f"{name} does not have the digest its card names")
        return Package(folder, card, sha256_of(card_path))
    except OSError as error:
        return _broken(folder, f"{Path(error.filename).name} cannot be read: {error.strerror}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        return _broken(folder, f"{CARD_FILE}: {place}: {first['msg']}")


def _broken(folder: Path, reason: str) -> BrokenPackage:
    return BrokenPackage(folder, f"{reason}; install the package again")


def installed(folder: Path) -> dict[str, Package | BrokenPackage]:
    """Every package under `folder`, by folder name; empty when the folder does not exist."""
    if not folder.is_dir():
        return {}
    return {child.name: open_package(child) for child in sorted(folder.iterdir()) if (child / CARD_FILE).exists()}


@dataclass(frozen=True, slots=True)
class Library:
    """The packages that come with the node, and versions that were installed beside them, SITE/NAME/VERSION/.

    SITE/NAME/ACTIVE has a line for each version that was made active, the last one being so now; an empty line, or no
    file, stands for the package that comes with the node.
    """

    shipped: Path
    site: Path

    def history(self, name: str) -> tuple[str, ...]:
        """Versions of a package that were made active, the last one being so now; "" is the shipped one."""
        try:
            return tuple(line.strip() for line in (self.site / name / ACTIVE_FILE).read_text("utf-8").splitlines())
        except FileNotFoundError:
            return ()

    def versions(self) -> tuple[InstalledVersion, ...]:
        """Every version of every package, by name, the shipped one first."""
        shipped = installed(self.shipped)
        site = sorted(child.name for child in self.site.iterdir() if child.is_dir()) if self.site.is_dir() else []
        found = []
        for name in sorted({*shipped, *(name for name in site if not name.startswith("."))}):
            active = (*("",), *self.history(name))[-1]
            if name in shipped:
                found.append(InstalledVersion(name, "", shipped[name], active=active == "", shipped=True))
            own = installed(self.site / name)
            found += [
                InstalledVersion(name, version, own[version], active == version, shipped=False) for version in own
            ]
            if active and active not in own:
                missing = BrokenPackage(self.site / name, f"version {active} is active and not installed")
                found.append(InstalledVersion(name, active, missing, active=True, shipped=False))
        return tuple(found)

    def find(self, name: str, number: str = "") -> InstalledVersion | None:
        """The version of that number, or the active one; of two of one number the one that was installed here."""
        versions = (each for each in self.versions() if each.name == name)
        found = [each for each in versions if (each.number == number if number else each.active)]
        return found[-1] if found else None

    def packages(self) -> dict[str, Package | BrokenPackage]:
        """What stages may ask for: NAME, its active version, and NAME@VERSION, whichever is active."""
        versions = self.versions()
        pinned = {f"{each.name}@{each.number}": each.package for each in versions}
        return pinned | {each.name: each.package for each in versions if each.active}


@dataclass(frozen=True, slots=True)
class InstalledVersion:
    """One version of a package."""

    name: str
    #: Folder of its own under the package's; "" for the shipped one.
    folder: str
    package: Package | BrokenPackage
    active: bool
    shipped: bool

    @property
    def number(self) -> str:
        """As its card has it, or, where that cannot be read, its folder."""
        return self.package.card.version if isinstance(self.package, Package) else self.folder
