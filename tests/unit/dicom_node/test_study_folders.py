"""A study's files as a whole: their size, and their removal."""

import errno
from pathlib import Path

import pytest

from dicom_node.domain.errors import CannotUnderstand, StoreError
from dicom_node.domain.study import ConflictingObject
from dicom_node.file_meta import file_meta_of
from dicom_node.spool import InstanceAddress, Spool
from dicom_node.study_folders import StudyFolders
from tests.builders.datasets import mr_series

STUDY, OTHER = "1.2.3", "1.2.4"


def keep(spool, study, content=b"anything", sop="1"):
    """A received object of that study."""
    uid = f"{study}.{sop}"
    meta = file_meta_of("1.2.840.10008.5.1.4.1.1.4", uid, "1.2.840.10008.1.2.1")
    return spool.keep(InstanceAddress(study, f"{study}.9", uid), content, meta)


@pytest.fixture
def spool(tmp_path):
    """Two studies, one with a conflict and a result."""
    spool = Spool(tmp_path, minimum_free_bytes=0)
    keep(spool, STUDY)
    keep(spool, STUDY, b"other")
    spool.write_result(STUDY, mr_series()[0])
    keep(spool, OTHER)
    return spool


def files(folder):
    """Every file below, by its name in the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_study_goes_as_a_whole_and_no_other(spool, tmp_path):
    """Received, in conflict and made; out of sight at once, off the disk after sweeping."""
    folders = StudyFolders(tmp_path)
    folders.discard(STUDY)
    assert [name for name in files(tmp_path) if not name.startswith("removed/")] == [
        f"spool/{OTHER}/{OTHER}.9/{OTHER}.1.dcm"
    ]
    assert len(files(tmp_path / "removed")) == 3
    folders.sweep()
    assert list((tmp_path / "removed").iterdir()) == []


def test_what_is_not_there_is_passed_over(tmp_path):
    """Removing twice is harmless, and so is removing nothing."""
    folders = StudyFolders(tmp_path)
    folders.sweep()
    folders.discard(STUDY)
    folders.discard(STUDY)
    folders.sweep()
    assert files(tmp_path) == []


def test_an_object_of_another_study_that_is_in_conflict_goes_along(spool, tmp_path):
    """Only that one of the other study."""
    kept = keep(spool, OTHER, b"third")
    keep(spool, OTHER, b"fourth")
    StudyFolders(tmp_path).discard(STUDY, [ConflictingObject(OTHER, f"{OTHER}.1", kept.digest)])
    assert not kept.path.exists()
    assert len(files(tmp_path / "conflicts")) == 1


@pytest.mark.parametrize("uid", ["", "..", "../spool", "1.2/3"])
def test_nothing_outside_can_be_named(spool, tmp_path, uid):
    """A study's folder is its UID, and nothing else is one."""
    before = files(tmp_path)
    with pytest.raises(CannotUnderstand):
        StudyFolders(tmp_path).discard(uid)
    assert files(tmp_path) == before


def test_sizes_are_those_of_the_files(spool, tmp_path):
    """Of one study, of all of them; nothing for one that is not there."""
    folders = StudyFolders(tmp_path)
    sizes = {name: (tmp_path / name).stat().st_size for name in files(tmp_path)}
    assert folders.bytes_in_all() == sum(sizes.values())
    assert folders.bytes_of(OTHER) == sizes[f"spool/{OTHER}/{OTHER}.9/{OTHER}.1.dcm"]
    assert folders.bytes_of(STUDY) + folders.bytes_of(OTHER) == folders.bytes_in_all()
    assert folders.bytes_of("1.9") == 0


def test_a_disk_that_refuses_is_told(spool, tmp_path, monkeypatch):
    """With the remedy, at either step."""
    folders = StudyFolders(tmp_path)
    folders.discard(OTHER)

    def refuse(*_arguments, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(StoreError, match="cannot be emptied: Read-only file system"):
        folders.sweep()
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="cannot be removed from disk: Read-only file system"):
        folders.discard(STUDY)
