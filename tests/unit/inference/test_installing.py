"""Packages come in whole or not at all; which version is active is one file, and there is a way back."""

import json
import shutil
import zipfile

import pytest

from inference.cards import CARD_FILE, WEIGHTS_FILE
from inference.installing import InstallError, activate, install, remove, rollback
from inference.models import load
from inference.registry import BrokenPackage, Library
from tests.builders.packages import write_package


def versioned(folder, version, name="classifier"):
    """A copy of a package under another version."""
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "name": name, "version": version}))
    return folder


@pytest.fixture
def library(packages, tmp_path):
    """A classifier 1.0.0 that comes with the node, and nothing else yet."""
    return Library(packages, tmp_path / "site")


@pytest.fixture
def newer(packages, tmp_path):
    """Its version 2.0.0, not installed."""
    return versioned(shutil.copytree(packages / "classifier", tmp_path / "incoming"), "2.0.0")


def zipped(folder, path, *, prefix="", names=(CARD_FILE, WEIGHTS_FILE)):
    """The package as a ZIP file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(folder / name, prefix + name)
    return path


def state_of(library):
    """(version, active) of each version of the classifier."""
    return [(each.number, each.active) for each in library.versions() if each.name == "classifier"]


@pytest.mark.parametrize("packed", [False, True])
def test_an_installed_version_lies_beside_the_shipped_one(library, newer, tmp_path, packed):
    """From a folder or a ZIP file; the shipped one stays active, and the new one can be asked for by number."""
    source = zipped(newer, tmp_path / "p.zip", prefix="somewhere/") if packed else newer
    package = install(source, library, load)
    assert package.folder == library.site / "classifier" / "2.0.0"
    assert state_of(library) == [("1.0.0", True), ("2.0.0", False)]
    packages = library.packages()
    assert packages["classifier"].card.version == "1.0.0"
    assert packages["classifier@2.0.0"].card.version == "2.0.0"


def test_activation_and_the_way_back(library, newer, tmp_path):
    """One step at a time, down to the shipped one."""
    install(newer, library, load)
    install(versioned(newer, "3.0.0"), library, load)
    for version in ("2.0.0", "3.0.0", "3.0.0"):
        activate("classifier", version, library)
        assert library.packages()["classifier"].card.version == version
    assert rollback("classifier", library) == "2.0.0"
    assert rollback("classifier", library) == "1.0.0"
    assert state_of(library) == [("1.0.0", True), ("2.0.0", False), ("3.0.0", False)]
    with pytest.raises(InstallError, match="never activated"):
        rollback("classifier", library)


def test_the_shipped_version_may_be_activated_by_its_number(library, newer):
    """And is then what a rollback leaves."""
    install(newer, library, load)
    activate("classifier", "2.0.0", library)
    activate("classifier", "1.0.0", library)
    assert library.packages()["classifier"].card.version == "1.0.0"
    assert rollback("classifier", library) == "2.0.0"


def test_a_package_that_the_node_did_not_come_with(library, tmp_path):
    """Nothing of it is active until it is made so."""
    install(write_package(tmp_path / "newcomer"), library, load)
    assert "newcomer" not in library.packages()
    activate("newcomer", "1.0.0", library)
    assert library.packages()["newcomer"].card.name == "newcomer"
    assert rollback("newcomer", library) == "none"
    assert "newcomer" not in library.packages()


def _torn(folder):
    (folder / WEIGHTS_FILE).write_bytes(b"torn")


def _misfit(folder):
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "architecture": "densenet121"}))


def _wandering(folder):
    versioned(folder, "../../elsewhere")


def _hidden(folder):
    versioned(folder, "1.0.0", name=".hidden")


def _reserved(folder):
    versioned(folder, "Active")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_torn, "digest"),
        (_misfit, "do not fit"),
        (_wandering, "version"),
        (_hidden, "name"),
        (_reserved, "uses itself"),
        (lambda folder: (folder / CARD_FILE).unlink(), CARD_FILE),
    ],
)
def test_what_is_not_whole_is_not_installed(library, newer, spoil, told):
    """The reason is told, and nothing is left behind."""
    spoil(newer)
    with pytest.raises(InstallError, match=told):
        install(newer, library, load)
    assert list(library.site.iterdir()) == []


def test_a_version_is_installed_once(library, newer):
    """What runs under a number stays what it is."""
    install(newer, library, load)
    for version in ("2.0.0", "1.0.0"):  # installed, shipped
        with pytest.raises(InstallError, match="installed already"):
            install(versioned(newer, version), library, load)


def test_paths_in_a_zip_file_lead_nowhere(library, newer, tmp_path):
    """Names alone count; other files are not unpacked; the same file twice is refused."""
    archive = zipped(newer, tmp_path / "p.zip", prefix="../../../")
    with zipfile.ZipFile(archive, "a") as further:
        further.writestr("../../escaped.py", "print('no')")
    package = install(archive, library, load)
    assert sorted(path.name for path in package.folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    assert not list(tmp_path.rglob("escaped.py"))
    with zipfile.ZipFile(archive, "a") as twice:
        twice.write(newer / CARD_FILE, "other/" + CARD_FILE)
    with pytest.raises(InstallError, match="twice"):
        install(archive, library, load)


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_what_is_no_package_at_all_is_told(library, tmp_path, content):
    """A file of something else, or none."""
    source = tmp_path / "p.zip"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(InstallError, match=r"p\.zip"):
        install(source, library, load)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("flaw", [slice(60, 90), slice(-60, None)], ids=["content", "directory"])
def test_a_damaged_zip_file_is_told(library, newer, tmp_path, method, flaw):
    """However it is packed, and wherever it is damaged; nothing is left behind."""
    archive = tmp_path / "p.zip"
    with zipfile.ZipFile(archive, "w", method) as packed:
        packed.write(newer / CARD_FILE, CARD_FILE)
    content = bytearray(archive.read_bytes())
    content[flaw] = bytes(byte ^ 0xFF for byte in content[flaw])
    archive.write_bytes(content)
    with pytest.raises(InstallError, match=r"p\.zip cannot be read"):
        install(archive, library, load)
    assert list(library.site.iterdir()) == []


def test_what_is_too_large_is_not_unpacked(library, newer, tmp_path, monkeypatch):
    """By what its files have unpacked; as a folder, too."""
    monkeypatch.setattr("inference.installing._LARGEST_BYTES", 1000)
    for source in (newer, zipped(newer, tmp_path / "p.zip")):
        with pytest.raises(InstallError, match="is the most"):
            install(source, library, load)
    assert list(library.site.iterdir()) == []


def test_a_library_that_cannot_be_changed_is_told(packages, newer, tmp_path):
    """With its path and what to do."""
    (tmp_path / "site").write_text("no folder")
    with pytest.raises(InstallError, match=r"site cannot be changed: .*service's user"):
        install(newer, Library(packages, tmp_path / "site"), load)


def test_an_interrupted_installation_shows_nothing(library, newer):
    """Whatever stops it before the last rename."""

    def interrupted(_package):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install(newer, library, interrupted)
    assert state_of(library) == [("1.0.0", True)]
    assert list(library.site.iterdir()) == []


def test_what_is_active_or_shipped_is_not_removed(library, newer):
    """Anything else is, and its place in the way back with it."""
    install(newer, library, load)
    install(versioned(newer, "3.0.0"), library, load)
    activate("classifier", "2.0.0", library)
    activate("classifier", "3.0.0", library)
    for version, told in (("1.0.0", "shipped"), ("3.0.0", "active"), ("9", "not installed")):
        with pytest.raises(InstallError, match=told):
            remove("classifier", version, library)
    remove("classifier", "2.0.0", library)
    assert state_of(library) == [("1.0.0", False), ("3.0.0", True)]
    assert rollback("classifier", library) == "1.0.0"


@pytest.mark.parametrize(
    ("activated", "before"),
    [(("2.0.0", "3.0.0", "2.0.0"), "1.0.0"), (("3.0.0", "1.0.0"), None), (("3.0.0", "1.0.0", "2.0.0"), "1.0.0")],
)
def test_a_step_back_never_leads_where_it_began(library, newer, activated, before):
    """Not even when what lay between is removed."""
    install(newer, library, load)
    install(versioned(newer, "3.0.0"), library, load)
    for version in activated:
        activate("classifier", version, library)
    remove("classifier", "3.0.0", library)
    if before is None:
        with pytest.raises(InstallError, match="never activated"):
            rollback("classifier", library)
    else:
        assert rollback("classifier", library) == before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(shutil.rmtree, "is not installed"), (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"torn"), "digest")],
)
def test_no_step_leads_back_to_what_is_not_whole(library, newer, spoil, told):
    """What is active stays so."""
    package = install(newer, library, load)
    for version in ("2.0.0", "1.0.0"):
        activate("classifier", version, library)
    spoil(package.folder)
    with pytest.raises(InstallError, match=told):
        rollback("classifier", library)
    assert library.packages()["classifier"].card.version == "1.0.0"


def test_of_two_of_one_number_the_installed_one_counts(library, newer):
    """A later node may come with a number that this one has installed; stages keep what they had."""
    package = install(newer, library, load)
    upgraded = Library(library.shipped.parent / "upgraded", library.site)
    versioned(shutil.copytree(newer, upgraded.shipped / "classifier"), "2.0.0")
    activate("classifier", "2.0.0", upgraded)
    assert upgraded.packages()["classifier"].folder == package.folder
    assert upgraded.packages()["classifier@2.0.0"].folder == package.folder


def test_what_is_not_installed_or_broken_is_not_activated(library, newer):
    """The known versions are named."""
    with pytest.raises(InstallError, match=r"installed are: 1\.0\.0"):
        activate("classifier", "2.0.0", library)
    package = install(newer, library, load)
    (package.folder / WEIGHTS_FILE).write_bytes(b"torn")
    with pytest.raises(InstallError, match="digest"):
        activate("classifier", "2.0.0", library)


def test_an_active_version_that_is_gone_is_broken_not_replaced(library, newer):
    """The shipped one does not silently take its place."""
    package = install(newer, library, load)
    activate("classifier", "2.0.0", library)
    shutil.rmtree(package.folder)
    assert isinstance(library.packages()["classifier"], BrokenPackage)
    assert "not installed" in library.packages()["classifier"].reason
    install(newer, library, load)
    assert library.packages()["classifier"].card.version == "2.0.0"
