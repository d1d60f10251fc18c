"""A mask kept slice by slice is the same mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from inference.voxels import Mask, together

MASKS = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
PAIRS = arrays(np.bool_, (2, 4, 5, 6))


@settings(deadline=None)
@given(MASKS)
def test_a_mask_is_what_it_was_made_of(array):
    """As a whole, slice by slice, and in its figures."""
    mask = Mask.of(array)
    assert np.array_equal(mask.whole(), array)
    assert all(np.array_equal(mask.on(number), inside) for number, inside in enumerate(array))
    assert mask.count == array.sum()
    if array.any():
        slices, rows, columns = np.nonzero(array)
        assert mask.slice_extent == (slices.min(), slices.max())
        assert mask.bounds == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert mask.largest_slice == array.sum((1, 2)).argmax()


def test_only_what_is_inside_takes_room():
    """A stack is as large as it likes, and its slices may go."""
    array = np.zeros((5, 100, 100), np.bool_)
    array[2, 10:12, 20:25] = array[4, 0, 0] = True
    one, other = Mask.of(array).patches
    assert (one.slice_index, one.top, one.left, one.inside.shape) == (2, 10, 20, (2, 5))
    assert (other.slice_index, other.inside.shape) == (4, (1, 1))
    assert one.inside.base is None


@settings(deadline=None)
@given(PAIRS)
def test_masks_together_are_what_is_in_any(pair):
    """Where both have scores, the first one's count."""
    scores = np.stack([np.full(pair.shape[1:], 10, np.uint8), np.full(pair.shape[1:], 20, np.uint8)])
    both = together([Mask.of(array, given) for array, given in zip(pair, scores, strict=True)])
    assert np.array_equal(both.whole(), pair.any(axis=0))
    told = np.zeros(pair.shape[1:], np.uint8)
    for patch in both.patches:
        told[(patch.slice_index, *patch.where)] = patch.scores
    assert np.array_equal(told, np.where(pair[0], 10, np.where(pair[1], 20, 0)))


@pytest.mark.parametrize("scored", [0, 1])
def test_without_all_scores_there_are_none(scored):
    """Half of them would pass for zeros."""
    array = np.ones((1, 2, 2), np.bool_)
    masks = [Mask.of(array, np.ones((1, 2, 2), np.uint8) if number == scored else None) for number in range(2)]
    assert together(masks).patches[0].scores is None
