"""Empty files whose names are on disk already."""

import errno
import os
import stat

import pytest

from dicom_node import durable_files
from dicom_node.slots import Slots


@pytest.fixture
def folder_syncs(monkeypatch):
    """How often a folder was flushed."""
    seen, fsync = [], os.fsync

    def counted(descriptor):
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(durable_files.os, "fsync", counted)
    return seen


def test_many_names_cost_one_flush(tmp_path, folder_syncs):
    """What is ready is given away without another; when none is, one is made, and its name flushed."""
    slots = Slots(tmp_path)
    slots.refill()
    ready = len(list(tmp_path.iterdir()))
    assert ready > 1
    taken = [slots.take() for _ in range(ready)]
    assert len(folder_syncs) == 1
    taken.append(slots.take())
    assert len(folder_syncs) == 2
    assert {slot.path for slot in taken} == set(tmp_path.iterdir())
    assert all(stat.S_IMODE(slot.path.stat().st_mode) == 0o600 for slot in taken)
    for slot in taken:
        os.close(slot.descriptor)


def test_few_that_are_missing_are_not_made_one_by_one(tmp_path, folder_syncs):
    """A flush is for many."""
    slots = Slots(tmp_path)
    slots.refill()
    os.close(slots.take().descriptor)
    slots.refill()
    assert len(folder_syncs) == 1
    slots.close()


def test_what_is_not_taken_goes(tmp_path):
    """Closed, none is left; what was taken is its taker's."""
    slots = Slots(tmp_path)
    slots.refill()
    slot = slots.take()
    slots.close()
    assert list(tmp_path.iterdir()) == [slot.path]
    os.close(slot.descriptor)


def test_a_disk_that_refuses_leaves_none(tmp_path, monkeypatch):
    """Neither one nor many."""

    def refuse(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    slots = Slots(tmp_path)
    for step in (slots.take, slots.refill):
        with pytest.raises(OSError, match="No space"):
            step()
    assert list(tmp_path.iterdir()) == []
