"""Durable files."""

import errno
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager

import pytest
from pydicom import dcmread

from dicom_node import spool as spool_module
from dicom_node.domain.errors import CannotUnderstand, OutOfResources, StoreError
from dicom_node.file_meta import file_meta_of
from dicom_node.files import alone_in
from dicom_node.spool import InstanceAddress, Spool
from tests.builders.datasets import mr_series
from tests.builders.network import dataset_bytes

ADDRESS = InstanceAddress("1.2.3", "1.2.3.4", "1.2.3.4.5")
META = file_meta_of("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5", "1.2.840.10008.1.2.1")


@pytest.fixture
def spool(tmp_path):
    """An empty spool without a watermark."""
    return Spool(tmp_path, minimum_free_bytes=0)


def all_files(folder):
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_bytes_are_kept_as_they_came(spool, tmp_path):
    """Behind the file meta information stands exactly what was received, under the UIDs, readable by its owner only."""
    kept = spool.keep(ADDRESS, b"anything", META)
    assert kept.path == tmp_path / "spool/1.2.3/1.2.3.4/1.2.3.4.5.dcm"
    assert dataset_bytes(kept.path) == b"anything"
    assert kept.digest == hashlib.sha256(b"anything").hexdigest()
    assert kept.size_bytes == kept.path.stat().st_size
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert kept.new


def test_the_file_meta_information_names_class_instance_and_syntax(spool):
    """PS3.10 7.1: what is needed to read the data set stands before it."""
    meta = dcmread(spool.keep(ADDRESS, b"", META).path).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5")
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.ImplementationVersionName == "DICOM_AI_NODE"


def test_the_same_again_is_one_file(spool, tmp_path):
    """A repeated send changes nothing."""
    first = spool.keep(ADDRESS, b"same", META)
    second = spool.keep(ADDRESS, b"same", META)
    assert (second.path, second.digest, second.new) == (first.path, first.digest, False)
    assert all_files(tmp_path) == [first.path]


def test_other_bytes_under_the_same_uid_are_kept_aside(spool, tmp_path):
    """A conflict loses neither object, and the first one stays where it was."""
    first = spool.keep(ADDRESS, b"first", META)
    second = spool.keep(ADDRESS, b"second", META)
    assert dataset_bytes(first.path) == b"first"
    assert dataset_bytes(second.path) == b"second"
    assert second.path.parent == tmp_path / "conflicts/1.2.3"


def test_an_instance_can_be_set_aside_later(spool, tmp_path):
    """One that contradicts another study's instance moves to conflicts/."""
    kept = spool.keep(ADDRESS, b"bytes", META)
    aside = spool.set_aside(kept, ADDRESS)
    assert all_files(tmp_path) == [aside]
    assert aside.parent == tmp_path / "conflicts/1.2.3"


@pytest.mark.parametrize("uid", ["", "..", ".", "../../etc", "1.2/3", "1.2 ", "1.2\n", "1" * 65, "١.٢", "1.2\0"])
@pytest.mark.parametrize("field", range(3))
def test_what_is_no_uid_never_touches_a_path(spool, tmp_path, uid, field):
    """A UID that could leave the folder, or is none, is answered with cannot understand."""
    uids = ["1.2.3", "1.2.3.4", "1.2.3.4.5"]
    uids[field] = uid
    with pytest.raises(CannotUnderstand):
        spool.keep(InstanceAddress(*uids), b"bytes", META)
    assert all_files(tmp_path) == []


def test_a_full_disk_is_said_before_it_is_full(tmp_path):
    """Below the watermark nothing is written."""
    spool = Spool(tmp_path, minimum_free_bytes=1 << 62)
    with pytest.raises(OutOfResources, match="make room"):
        spool.keep(ADDRESS, b"bytes", META)
    assert all_files(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "open"])
def test_no_space_leaves_no_half_file(spool, tmp_path, monkeypatch, call):
    """ENOSPC while writing is out of resources, and the part file is gone."""

    def no_space(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(OutOfResources, match="No space left"):
        spool.keep(ADDRESS, b"bytes", META)
    monkeypatch.undo()
    assert all_files(tmp_path) == []


def test_file_and_folder_are_synced_before_it_returns(spool, monkeypatch):
    """The file's name is on disk before its content, and its content before its last name, and that at the end."""
    steps = []
    real_fsync, real_fdatasync, real_link = os.fsync, os.fdatasync, os.link

    def fsync(descriptor):
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("folder")
        real_fsync(descriptor)

    def fdatasync(descriptor):
        steps.append("file")
        real_fdatasync(descriptor)

    def link(source, target):
        steps.append("name")
        real_link(source, target)

    spool.keep(ADDRESS, b"makes the folders", META)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "link", link)
    spool.keep(InstanceAddress("1.2.3", "1.2.3.4", "1.2.3.4.6"), b"bytes", META)
    assert steps == ["folder", "file", "name", "folder"]


def test_parts_of_an_earlier_run_are_swept(tmp_path):
    """What a crash left half written was never answered with success, and goes."""
    part = tmp_path / "incoming/0123.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    Spool(tmp_path).sweep()
    assert not part.exists()


def test_a_result_is_a_whole_dicom_file(spool, tmp_path):
    """Results lie under their study, and writing one again replaces it."""
    result = mr_series()[0]
    path = spool.write_result(result.StudyInstanceUID, result)
    assert path == spool.write_result(result.StudyInstanceUID, result)
    assert path == tmp_path / "results" / result.StudyInstanceUID / f"{result.SOPInstanceUID}.dcm"
    assert dcmread(path) == result
    assert all_files(tmp_path) == [path]


def test_a_result_that_cannot_be_written_is_a_store_error(tmp_path, monkeypatch):
    """Out of space for a result is the node's own trouble, not a sender's."""
    result = mr_series()[0]

    def no_space(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = Spool(tmp_path, minimum_free_bytes=1)
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StoreError, match="cannot be written"):
        spool.write_result(result.StudyInstanceUID, result)
    assert all_files(tmp_path) == []


def test_results_live_on_the_room_that_is_kept_free_of_images(tmp_path):
    """Below the watermark no image comes in, and results are still made; there is less room than they need at last."""
    result = mr_series()[0]
    free = shutil.disk_usage(tmp_path).free
    spool = Spool(tmp_path, minimum_free_bytes=2 * free)
    with pytest.raises(OutOfResources, match="disk nearly full"):
        spool.keep(ADDRESS, b"bytes", META)
    assert spool.why_no_room() is None
    assert spool.write_result(result.StudyInstanceUID, result).is_file()
    assert "make room" in str(Spool(tmp_path, minimum_free_bytes=16 * free).why_no_room())


def test_a_folder_that_cannot_be_written_is_told_with_its_remedy(tmp_path, monkeypatch):
    """Of another user, or on a disk that is read-only."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="incoming cannot be used: Permission denied; let the node's user"):
        Spool(tmp_path)


@pytest.mark.parametrize("has_links", [True, False])
def test_two_processes_replace_nothing_of_each_other(tmp_path, spool, monkeypatch, has_links):
    """The command that pulls receives beside the node: who comes first, at the last moment, stays.

    On a file system without links it comes while the other waits for the lock.
    """
    first, link = [], os.link

    def come_first():
        if not first:
            first.append(None)
            first[0] = Spool(tmp_path, minimum_free_bytes=0).keep(ADDRESS, b"other", META)

    def linked(file, name):
        if not has_links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        come_first()
        link(file, name)

    @contextmanager
    def after_the_other(folder):
        assert folder == tmp_path / "incoming"
        come_first()
        with alone_in(folder):
            yield

    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(spool_module, "alone_in", after_the_other)
    second = spool.keep(ADDRESS, b"ours", META)
    assert [dataset_bytes(each.path) for each in (*first, second)] == [b"other", b"ours"]
    assert (first[0].path.parts[-4], second.path.parts[-3]) == ("spool", "conflicts")
