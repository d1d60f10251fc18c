"""Scores become labels, lesions and measurements."""

import numpy as np
import pytest

from inference.cards import OperatingPoint
from inference.findings import Quantity
from inference.interpret import axes_mm, classification, is_outside, lesions, plane_of, slices_to_show
from tests.builders.packages import volume_of

POINT = OperatingPoint(threshold=0.5)
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "wanted", "shown"),
    [
        (1, 9, (0,)),
        (9, 9, tuple(range(9))),
        (11, 3, (1, 5, 9)),  # a tenth of the way in from both ends
        (101, 5, (10, 30, 50, 70, 90)),
    ],
)
def test_several_slices_of_the_middle_are_shown(count, wanted, shown):
    """Ends of a stack hold little anatomy; a short stack is shown whole."""
    assert slices_to_show(count, wanted) == shown


@pytest.mark.parametrize(
    ("directions", "plane"),
    [
        ((Z, Y, X), "axial"),
        ((Y, (0.0, 0.0, -1.0), X), "coronal"),
        ((X, (0.0, 0.0, -1.0), Y), "sagittal"),
        (((0.0, 0.5, 0.866), (0.0, 0.866, -0.5), X), "axial"),  # tilted by 30 degrees
    ],
)
def test_the_plane_follows_from_geometry(directions, plane):
    """The patient's axis nearest to the normal of the slices."""
    assert plane_of(volume_of(np.zeros((2, 4, 4)), directions=directions)) == plane


def test_no_geometry_no_plane():
    """Nothing is guessed."""
    assert plane_of(volume_of(np.zeros((2, 4, 4)), spacing=None)) is None


def test_an_answer_is_the_median_over_slices():
    """One slice that is sure of another class neither decides nor casts doubt."""
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.0, 1.0]], np.float32)
    answer = classification(("ct", "mr"), scores, (1, 5, 9))
    assert (answer.label, answer.slices) == ("ct", (1, 5, 9))
    assert answer.score == pytest.approx(0.8)
    assert dict(answer.scores) == pytest.approx({"ct": 0.8, "mr": 0.2})


def test_slices_that_contradict_each_other_give_no_answer():
    """Three slices, each sure of another class: none scores high, so that the stack is turned away."""
    answer = classification(("ct", "mr", "us"), np.eye(3, dtype=np.float32), (0, 1, 2))
    assert answer.score == 0
    assert is_outside(answer, "modality", {"modality": 0.5})


@pytest.mark.parametrize(("minimum", "outside"), [({}, False), ({"modality": 0.5}, False), ({"modality": 0.6}, True)])
def test_below_the_minimum_score_is_outside(minimum, outside):
    """A question without a minimum takes every answer."""
    answer = classification(("ct", "mr"), np.array([[0.55, 0.45]], np.float32), (0,))
    assert is_outside(answer, "modality", minimum) is outside


def test_axes_of_a_rectangle():
    """3 rows of 2 mm and 8 columns of 0.5 mm: 6 x 4 mm, whose diagonal is the longest diameter."""
    mask = np.zeros((20, 20), np.bool_)
    mask[5:8, 4:12] = True
    long, short = axes_mm(mask, (2.0, 0.5))
    assert long == pytest.approx(np.hypot(6, 4))
    # the corners off the diagonal lie 6 * 4 / hypot on either side of it
    assert short == pytest.approx(2 * 24 / np.hypot(6, 4))


def test_axes_of_one_pixel():
    """Even a single pixel has an extent: its own diagonals."""
    mask = np.zeros((3, 3), np.bool_)
    mask[1, 1] = True
    assert axes_mm(mask, (1.0, 1.0)) == pytest.approx((2**0.5, 2**0.5))


def scores_with(*boxes, shape=(4, 20, 20)):
    """Scores that are 0.9 in the boxes (slices, rows, columns) and 0.1 elsewhere."""
    scores = np.full(shape, 0.1, np.float32)
    for box in boxes:
        scores[box] = 0.9
    return scores


SMALL = np.s_[0:1, 2:4, 2:4]  # 4 voxels
LARGE = np.s_[1:3, 10:16, 8:12]  # 48 voxels


def test_lesions_are_numbered_from_the_largest():
    """Each is one connected component with its own mask, score and measurements."""
    large, small = lesions(volume_of(np.zeros((4, 20, 20))), [scores_with(SMALL, LARGE)], "tumour", POINT)
    assert [(each.label, each.number, each.mask.count) for each in (large, small)] == [
        ("tumour", 1, 48),
        ("tumour", 2, 4),
    ]
    assert large.mean_score == pytest.approx(0.9)
    values = {each.quantity: each.value for each in large.measurements}
    assert values[Quantity.VOLUME_ML] == pytest.approx(48 * 4 / 1000)  # voxels of 4 x 1 x 1 mm
    assert values[Quantity.LONG_AXIS_MM] == pytest.approx(np.hypot(6, 4))
    assert [each.slice_index for each in large.measurements] == [None, 1, 1]


def test_small_lesions_are_dropped_by_volume():
    """4 voxels of 4 mm3 are 0.016 mL."""
    volume = volume_of(np.zeros((4, 20, 20)))
    kept = lesions(volume, [scores_with(SMALL, LARGE)], "tumour", OperatingPoint(minimum_volume_ml=0.02))
    assert [each.mask.count for each in kept] == [48]


def test_without_spacing_small_ones_are_dropped_by_pixels_and_nothing_is_measured():
    """A length that nobody knows is not reported."""
    volume = volume_of(np.zeros((4, 20, 20)), spacing=None)
    (kept,) = lesions(volume, [scores_with(SMALL, LARGE)], "tumour", OperatingPoint(minimum_pixels=5))
    assert kept.mask.count == 48
    assert kept.measurements == ()


def test_voxels_that_touch_at_a_corner_are_one_lesion():
    """Also across slices."""
    scores = scores_with(np.s_[0:1, 0:2, 0:2], np.s_[1:2, 2:4, 2:4])
    assert len(lesions(volume_of(np.zeros((4, 20, 20))), [scores], "tumour", POINT)) == 1


def test_nothing_above_the_threshold_is_nothing_found():
    """The threshold itself is not above it."""
    scores = np.full((2, 8, 8), 0.5, np.float32)
    assert lesions(volume_of(np.zeros((2, 8, 8))), [scores], "tumour", POINT) == ()
