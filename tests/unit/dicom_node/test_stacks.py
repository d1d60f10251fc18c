"""Frames come together in stacks, sorted and with the geometry that the standard gives them."""

import itertools
import random

import numpy as np
import pytest

from dicom_node.stacks import Grid, Place, StackFrame, split_into_stacks
from inference.volume import FrameReference

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
GRID = Grid(rows=4, columns=6, kind="grey", pixel_spacing_mm=(0.5, 0.75))


def frame(number, position=None, axes=AXIAL, grid=GRID, gathering="", **traits):
    """A frame whose SOP Instance UID ends with its number."""
    place = None if position is None else Place(tuple(map(float, position)), *axes)
    return StackFrame(FrameReference("1.2", f"1.2.{number}"), number, grid, place, gathering, tuple(traits.items()))


def instance_numbers(stack):
    """The instance numbers of a stack, in its order."""
    return [each.instance_number for each in stack.frames]


def oblique_axes():
    """Orthonormal row and column directions along no patient axis."""
    row = np.array([2.0, 1.0, 0.5]) / np.linalg.norm([2.0, 1.0, 0.5])
    column = np.cross(row, [0.1, -0.3, 1.0])
    return tuple(row), tuple(column / np.linalg.norm(column))


@pytest.mark.parametrize(
    "axes", [AXIAL, SAGITTAL, CORONAL, oblique_axes()], ids=["axial", "sagittal", "coronal", "oblique"]
)
def test_slices_rise_along_the_normal(axes):
    """Slices numbered against the normal and given in any order come out along it, with every place in the affine."""
    normal = np.cross(*axes)
    frames = [frame(number, np.array([5.0, -7.0, 11.0]) - 3.0 * number * normal, axes) for number in range(1, 6)]
    random.Random(1).shuffle(frames)
    [stack] = split_into_stacks(frames)
    assert instance_numbers(stack) == [5, 4, 3, 2, 1]
    assert stack.slice_spacing_mm == pytest.approx(3.0)
    assert stack.even_spacing
    for index, each in enumerate(stack.frames):
        assert stack.affine @ [index, 0, 0, 1] == pytest.approx([*each.place.position, 1])


def test_affine_runs_down_columns_with_the_row_spacing():
    """One row further is Pixel Spacing value 1 along the column cosines, one column value 2 along the row cosines."""
    [stack] = split_into_stacks([frame(1, (10, 20, 30)), frame(2, (10, 20, 34))])
    assert stack.affine.tolist() == [[0, 0, 0.75, 10], [0, 0.5, 0, 20], [4, 0, 0, 30], [0, 0, 0, 1]]


def test_tilted_gantry_gives_a_sheared_affine():
    """A stack sheared by gantry tilt is even, its spacing is that along the normal, its affine meets every slice."""
    frames = [frame(number, (0, 1.5 * number, 4.0 * number)) for number in range(3)]
    [stack] = split_into_stacks(frames)
    assert (stack.even_spacing, stack.slice_spacing_mm) == (True, 4.0)
    assert stack.affine @ [2, 0, 0, 1] == pytest.approx([0, 3, 8, 1])


@pytest.mark.parametrize(
    ("depths", "even", "spacing"),
    [
        ((0, 5, 10, 15), True, 5.0),
        ((0, 5, 10.04, 15), True, 5.0),  # 1 % of 5 mm is 0.05
        ((0, 5, 10.2, 15), False, 5.0),  # median of 5, 5.2, 4.8
        ((0, 5, 15, 20), False, 5.0),  # one slice is missing
        ((0, 0.4, 0.8, 1.2), True, 0.4),
    ],
)
def test_uneven_gaps_are_noticed(depths, even, spacing):
    """Gaps that differ by more than one per cent are uneven, and the spacing is then the median gap."""
    [stack] = split_into_stacks([frame(number, (0, 0, depth)) for number, depth in enumerate(depths)])
    assert stack.even_spacing is even
    assert stack.slice_spacing_mm == pytest.approx(spacing)


def test_one_slice_has_an_affine_and_no_spacing():
    """A single slice knows its place, which can be inverted, and no distance to a neighbour."""
    [stack] = split_into_stacks([frame(1, (1, 2, 3))])
    assert (stack.slice_spacing_mm, stack.even_spacing) == (None, True)
    assert abs(np.linalg.det(stack.affine)) > 0


def test_no_affine_without_pixel_spacing():
    """Slices with places and without pixel spacing are sorted and have no affine."""
    grid = Grid(4, 6, "grey", None)
    [stack] = split_into_stacks([frame(1, (0, 0, 9), grid=grid), frame(2, (0, 0, 6), grid=grid)])
    assert instance_numbers(stack) == [2, 1]
    assert stack.affine is None


def test_interleaved_echoes_part():
    """Two echoes at each position become two stacks named by their echo time, each complete and even."""
    times = itertools.cycle(["20", "90"])
    frames = [frame(n, (0, 0, 3 * (n // 2)), EchoTime=next(times), FlipAngle="90") for n in range(8)]
    stacks = split_into_stacks(frames)
    assert [stack.label for stack in stacks] == ["EchoTime 20", "EchoTime 90"]
    assert [instance_numbers(stack) for stack in stacks] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert all(stack.even_spacing for stack in stacks)


def test_two_attributes_may_explain_together():
    """b0 and three directions of b1000 need b-value and direction to be told apart."""
    kinds = [("0", ""), ("1000", "x"), ("1000", "y"), ("1000", "z")]
    frames = [
        frame(4 * level + n, (0, 0, level), DiffusionBValue=b, Direction=direction)
        for level in range(3)
        for n, (b, direction) in enumerate(kinds)
    ]
    labels = [stack.label for stack in split_into_stacks(frames)]
    # Direction alone parts all four
    assert labels == ["Direction absent", "Direction x", "Direction y", "Direction z"]
    crossed = [
        frame(4 * level + n, (0, 0, level), EchoTime=echo, FlipAngle=angle)
        for level in range(3)
        for n, (echo, angle) in enumerate(itertools.product(["10", "20"], ["5", "30"]))
    ]
    assert [stack.label for stack in split_into_stacks(crossed)][:2] == [
        "EchoTime 10, FlipAngle 5",
        "EchoTime 10, FlipAngle 30",
    ]


def test_an_attribute_that_always_changes_explains_nothing():
    """Times that differ in every frame do not shatter a repeated stack; the order of numbers parts it instead."""
    frames = [frame(n, (0, 0, n % 3), TriggerTime=str(n)) for n in range(6)]
    stacks = split_into_stacks(frames)
    assert [stack.label for stack in stacks] == ["repeat 1", "repeat 2"]
    assert [instance_numbers(stack) for stack in stacks] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("other", "labels"),
    [
        ({"axes": SAGITTAL}, ["axial", "sagittal"]),
        ({"grid": Grid(8, 6, "grey", (0.5, 0.75))}, ["4 x 6", "8 x 6"]),
        ({"grid": Grid(4, 6, "colour", (0.5, 0.75))}, ["grey", "colour"]),
        ({"grid": Grid(4, 6, "grey", (1.0, 1.0))}, ["0.5 x 0.75 mm", "1 x 1 mm"]),
    ],
)
def test_unlike_frames_part(other, labels):
    """Frames of another orientation, matrix, colour or spacing form a stack of their own, named by the difference."""
    frames = [frame(1, (0, 0, 1)), frame(2, (0, 0, 2)), frame(3, (3, 0, 0), **other), frame(4, (4, 0, 4), **other)]
    stacks = split_into_stacks(frames)
    assert [stack.label for stack in stacks] == labels
    assert [len(stack.frames) for stack in stacks] == [2, 2]


def test_rounded_cosines_stay_together():
    """Orientations that differ by rounding are one orientation."""
    rounded = ((0.99999, 0.00002, 0.0), (0.0, 1.0, 0.0))
    assert len(split_into_stacks([frame(1, (0, 0, 1)), frame(2, (0, 0, 2), rounded)])) == 1


def test_frames_without_place_stay_as_numbered():
    """Without places frames are ordered by number, and apart where they are gathered apart."""
    [together] = split_into_stacks([frame(2), frame(3), frame(1)])
    assert (instance_numbers(together), together.affine) == ([1, 2, 3], None)
    apart = split_into_stacks([frame(2, gathering="b"), frame(1, gathering="a")])
    assert [stack.label for stack in apart] == ["image 1", "image 2"]
