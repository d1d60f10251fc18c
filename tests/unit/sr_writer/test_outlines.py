"""Outlines fill exactly the pixels they came from, in the frame that SCOORD and presentation states share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from inference.findings import Region
from inference.voxels import Mask
from sr_writer.outlines import FEWEST_POINTS, MOST_POINTS, box, trace
from tests.builders.polygons import fill

MASKS = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7))


@settings(deadline=None)
@given(MASKS)
def test_outlines_give_the_mask_back(mask):
    """Filled by the even-odd rule, the outlines of a slice cover exactly the mask's pixels."""
    outlines = trace(Mask.of(mask))
    for index, part in enumerate(mask):
        here = [outline.points for outline in outlines if outline.slice_index == index]
        np.testing.assert_array_equal(fill(here, part.shape), part)


@settings(deadline=None)
@given(MASKS)
def test_outlines_are_closed_and_long_enough(mask):
    """Every outline repeats its first point and has more points than an editable rectangle."""
    for outline in trace(Mask.of(mask)):
        np.testing.assert_array_equal(outline.points[0], outline.points[-1])
        assert len(outline.points) >= FEWEST_POINTS


@settings(deadline=None)
@given(MASKS)
def test_areas_add_up(mask):
    """Areas of rims less those of holes are the number of pixels."""
    assert sum(outline.area for outline in trace(Mask.of(mask))) == mask.sum()


def test_largest_comes_first():
    """On each slice the outline of the largest area comes first, a hole last."""
    mask = np.zeros((1, 9, 12), dtype=bool)
    mask[0, 0, 0] = True
    mask[0, 2:7, 2:9] = True
    mask[0, 4, 4] = False
    assert [outline.area for outline in trace(Mask.of(mask))] == [35, 1, -1]
    assert [outline.is_hole for outline in trace(Mask.of(mask))] == [False, False, True]


def test_pixels_that_touch_at_a_corner_are_apart():
    """Two diagonal pixels have an outline each."""
    assert [outline.area for outline in trace(Mask.of(np.eye(2, dtype=bool)[np.newaxis]))] == [1, 1]


def test_an_empty_mask_has_no_outline():
    """Nothing in, nothing out."""
    assert trace(Mask.of(np.zeros((2, 3, 4), dtype=bool))) == ()


def test_a_rim_with_too_many_corners_is_thinned():
    """What does not fit into Graphic Data is thinned, closed, and stays inside the image."""
    comb = np.zeros((1, 3, 8200), dtype=bool)
    comb[0, 1] = True
    comb[0, 0, ::2] = True
    (outline,) = trace(Mask.of(comb))
    assert len(outline.points) <= MOST_POINTS
    np.testing.assert_array_equal(outline.points[0], outline.points[-1])


@pytest.mark.parametrize(
    ("left", "top"), [(0, 0), (29, 0), (0, 39), (29, 39)], ids=["first", "top right", "bottom left", "last"]
)
def test_a_one_pixel_box_lies_on_the_pixels_rim(left, top):
    """A box over one pixel runs from its index to its index plus one, at every corner of the image."""
    outline = box(Region("abnormality", 0.5, 0, left, top, left + 1, top + 1), rows=40, columns=30)
    expected = np.zeros((40, 30), dtype=bool)
    expected[top, left] = True
    np.testing.assert_array_equal(fill([outline.points], expected.shape), expected)
    assert len(outline.points) == 9


def test_a_box_is_cut_off_at_the_edge_of_the_image():
    """No coordinate leaves 0,0 to Columns,Rows, which viewers and highdicom do not check in an SR."""
    outline = box(Region("abnormality", 0.5, 0, -4.0, 30.5, 12.0, 45.0), rows=40, columns=30)
    np.testing.assert_array_equal(outline.points.min(axis=0), (0, 30.5))
    np.testing.assert_array_equal(outline.points.max(axis=0), (12, 40))


@pytest.mark.parametrize("corners", [(31, 0, 40, 5), (5, 5, 5, 9), (9, 0, 3, 5), (0, 41, 5, 50)])
def test_a_box_outside_the_image_is_refused(corners):
    """A box without a pixel of the image is an error that says which box."""
    with pytest.raises(ValueError, match="covers nothing of an image of 30 columns and 40 rows"):
        box(Region("abnormality", 0.5, 0, *map(float, corners)), rows=40, columns=30)
