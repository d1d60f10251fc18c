"""A file that is being received."""

import errno
import hashlib

import pytest

from dicom_node.domain.errors import OutOfResources
from dicom_node.part_file import PartFile


def endless(_nr_bytes):
    """A disk without bounds."""


def test_what_was_written_is_read_hashed_and_gone(tmp_path):
    """Behind its header; it has no other name, so it goes when it is closed."""
    with PartFile(tmp_path, b"header", endless) as part:
        part.write(b"first ")
        part.write(memoryview(b"second"))
        dataset = part.dataset()
        assert [dataset.read(6), dataset.read(100), dataset.read(100)] == [b"first ", b"second", b""]
        assert part.path.read_bytes() == b"headerfirst second"
        assert part.size_bytes == len(b"headerfirst second")
        assert part.digest == hashlib.sha256(b"first second").hexdigest()
    assert list(tmp_path.iterdir()) == []


def test_under_another_name_it_stays(tmp_path):
    """Whoever has renamed it keeps it."""
    with PartFile(tmp_path, b"", endless) as part:
        part.write(b"kept")
        part.path.replace(tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == b"kept"


def test_it_outlives_its_name(tmp_path):
    """A copy is the same, header and hash and all."""
    with PartFile(tmp_path, b"header", endless) as part:
        part.write(bytes(100_000))
        part.path.unlink()
        with part.copied() as copy:
            assert copy.path.read_bytes() == b"header" + bytes(100_000)
            assert copy.digest == part.digest


def test_there_must_be_room_all_along(tmp_path, monkeypatch):
    """Not only at the beginning."""
    monkeypatch.setattr("dicom_node.part_file._ASK_AGAIN_BYTES", 4)

    def room(nr_bytes):
        if nr_bytes > 10:
            raise OutOfResources("no room")

    with PartFile(tmp_path, b"header", room) as part:
        part.write(b"a little")
        with pytest.raises(OutOfResources, match="no room"):
            part.write(b"more than there is room for")
    with pytest.raises(OutOfResources, match="no room"):
        PartFile(tmp_path, b"a long header", room)
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_says_is_out_of_resources(tmp_path, monkeypatch):
    """While the header is written, too: then there is no file."""

    def full(_file, _chunk):
        raise OSError(errno.ENOSPC, "No space left on device")

    with PartFile(tmp_path, b"header", endless) as part:
        monkeypatch.setattr("dicom_node.part_file.write_whole", full)
        with pytest.raises(OutOfResources, match="No space left"):
            part.write(b"data")
    with pytest.raises(OutOfResources, match="No space left"):
        PartFile(tmp_path, b"header", endless)
    assert list(tmp_path.iterdir()) == []
