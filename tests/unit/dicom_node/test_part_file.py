"""A file that is being received."""

import errno
import hashlib
import os

import pytest

from dicom_node.domain.errors import OutOfResources
from dicom_node.part_file import UNSEALED, PartFile, Sealed, sealed_at
from dicom_node.slots import Slots

HEADER = b"header" + UNSEALED


def endless(_nr_bytes):
    """A disk without bounds."""


def begun(folder, header=HEADER, check_room=endless):
    """A file in the folder, and nothing of its data set yet."""
    return PartFile(Slots(folder).take(), header, check_room)


def test_what_was_written_is_read_and_gone(tmp_path):
    """Behind its header; it was not sealed, so it goes when it is closed, and nobody takes it for whole before."""
    with begun(tmp_path) as part:
        part.write(b"first ")
        part.write(memoryview(b"second"))
        dataset = part.dataset()
        assert [dataset.read(6), dataset.read(100), dataset.read(100)] == [b"first ", b"second", b""]
        assert part.path.read_bytes() == HEADER + b"first second"
        assert sealed_at(part.path, len(HEADER)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"the data set"])
def test_what_was_sealed_stays_and_is_known_for_whole(tmp_path, content):
    """With its size, its digest and its priority; its header is as long as it was."""
    with begun(tmp_path) as part:
        part.write(content)
        sealed = part.seal(priority=2)
    size_bytes = len(HEADER) + len(content)
    assert sealed == Sealed(part.path, size_bytes, hashlib.sha256(content).hexdigest(), priority=2)
    assert sealed.path.stat().st_size == size_bytes
    assert sealed_at(sealed.path, len(HEADER)) == sealed


def test_its_seal_is_on_disk_before_anybody_hears_of_it(tmp_path, monkeypatch):
    """One flush, after the last byte was written."""
    flushed, fdatasync = [], os.fdatasync

    def noting(descriptor):
        flushed.append(os.pread(descriptor, 1000, 0))
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noting)
    with begun(tmp_path) as part:
        part.write(b"data")
        sealed = part.seal()
    assert flushed == [sealed.path.read_bytes()]


def test_there_must_be_room_all_along(tmp_path, monkeypatch):
    """Not only at the beginning."""
    monkeypatch.setattr("dicom_node.part_file._ASK_AGAIN_BYTES", 4)

    def room(nr_bytes):
        if nr_bytes > 10:
            raise OutOfResources("no room")

    with begun(tmp_path, b"header", room) as part:
        part.write(b"a little")
        with pytest.raises(OutOfResources, match="no room"):
            part.write(b"more than there is room for")
    with pytest.raises(OutOfResources, match="no room"):
        begun(tmp_path, b"a long header", room)
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_says_is_out_of_resources(tmp_path, monkeypatch):
    """While the header is written and while it is sealed, too: then there is no file."""

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with begun(tmp_path) as part:
        monkeypatch.setattr("dicom_node.part_file.write_whole", full)
        with pytest.raises(OutOfResources, match="No space left"):
            part.write(b"data")
    with pytest.raises(OutOfResources, match="No space left"):
        begun(tmp_path)
    monkeypatch.undo()
    with begun(tmp_path) as part:
        monkeypatch.setattr(os, "fdatasync", full)
        with pytest.raises(OutOfResources, match="No space left"):
            part.seal()
    assert list(tmp_path.iterdir()) == []
