"""Room for pixels: in memory as far as it goes, then in files without a name."""

import numpy as np
import pytest

from dicom_node.domain.errors import StoreError
from dicom_node.scratch import FilePixels, Scratch
from inference.volume import first_slices

SHAPE = (5, 4, 3)
PIXELS = np.random.default_rng(1).normal(0, 300, SHAPE).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    """The pixels in a file, written from the last slice to the first."""
    room = Scratch(tmp_path / "scratch", in_memory=0).room(SHAPE, bytes_do=False)
    for index in reversed(range(len(PIXELS))):
        room[index] = PIXELS[index]
    return room


def test_a_study_is_in_memory_as_long_as_it_fits(tmp_path):
    """The stack that does not fit any more is in a file; a smaller one that does is not."""
    scratch = Scratch(tmp_path / "scratch", in_memory=PIXELS.nbytes + 100)
    rooms = [scratch.room(SHAPE, bytes_do=False), scratch.room(SHAPE, bytes_do=False)]
    assert [isinstance(room, FilePixels) for room in rooms] == [False, True]
    assert isinstance(scratch.room((1, 5, 5), bytes_do=False), np.ndarray)


def test_nobody_sees_the_files(kept, tmp_path):
    """So that nothing is left of them, whatever becomes of the process."""
    assert len(kept) == 5
    assert list((tmp_path / "scratch").iterdir()) == []
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("which", [0, -1, slice(1, 4), slice(None, None, 2), [3, 0], (2,), slice(9, 12)])
def test_slices_are_those_of_the_array(kept, which):
    """One, several in a row, any."""
    assert kept[which].dtype == np.float32
    assert np.array_equal(kept[which], PIXELS[list(which) if isinstance(which, tuple) else which])


def test_it_has_what_an_array_has(kept):
    """Shape, axes, number of slices, all of them; and no slice beyond the last."""
    assert (kept.shape, kept.ndim, len(kept)) == (SHAPE, 3, 5)
    assert np.array_equal(np.asarray(kept), PIXELS)
    assert np.asarray(kept, np.float64).dtype == np.float64
    with pytest.raises(IndexError):
        kept[5]
    with pytest.raises(ValueError, match="copied"):
        np.array(kept, copy=False)


def test_bytes_take_a_quarter(tmp_path):
    """Colour of eight bits is kept in bytes and comes back as numbers."""
    room = Scratch(tmp_path, in_memory=0).room((2, 2, 2, 3), bytes_do=True)
    colours = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3) * 11
    room[0], room[1] = colours
    assert room[:].dtype == np.float32
    assert np.array_equal(room[:], colours)
    assert room._slice_bytes == 12  # what is promised is not seen from outside


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    """With the folder, so that a person can make room."""
    with pytest.raises(StoreError, match=r"no room for the pixels of a large study in .*scratch"):
        Scratch(tmp_path / "scratch", in_memory=0).room((1 << 20, 1 << 20, 1 << 10), bytes_do=False)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """A file stands in its place."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        Scratch(tmp_path / "file", in_memory=0).room(SHAPE, bytes_do=False)


def test_the_beginning_of_a_stack_in_a_file_stays_there():
    """It reads as the same part of an array does, and no slice behind it."""
    array = np.random.default_rng(5).normal(0, 1, (7, 3, 4)).astype(np.float32)
    pixels = FilePixels(array.shape, np.float32, None)
    for place, one in enumerate(array):
        pixels[place] = one
    beginning = first_slices(pixels, 5)
    assert not isinstance(beginning, np.ndarray)
    assert (beginning.shape, beginning.ndim, len(beginning)) == ((5, 3, 4), 3, 5)
    assert np.array_equal(np.asarray(beginning), array[:5])
    for which in (np.s_[3:9], np.s_[-2:], [0, -1], 4):
        assert np.array_equal(beginning[which], array[:5][which])
    with pytest.raises(IndexError):
        _ = beginning[5]
