"""Pictures at another size are torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from inference.resampling import resample


def by_torch(pictures, rows, columns):
    """Bilinear with antialiasing."""
    return functional.interpolate(
        torch.from_numpy(pictures)[:, None], (rows, columns), mode="bilinear", align_corners=False, antialias=True
    )[:, 0].numpy()


def ours(pictures, rows, columns):
    """The same, into an array that holds something else."""
    into = np.full((len(pictures), rows, columns), 7, np.float32)
    resample(pictures, into)
    return into


SIDES = st.integers(2, 200)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_it_is_what_torch_gives(rows, columns, new_rows, new_columns):
    """To rounding, smaller and larger, each side for itself."""
    pictures = np.random.default_rng(rows * columns).random((2, rows, columns), np.float32)
    apart = np.abs(ours(pictures, new_rows, new_columns) - by_torch(pictures, new_rows, new_columns)).max()
    assert apart < 2e-6


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (40, 1)])
def test_a_line_and_a_point_have_a_size_too(size):
    """What is the same everywhere stays so."""
    for rows, columns in ((1, 1), (1, 30), (30, 1), (9, 9)):
        assert ours(np.full((1, *size), 0.25, np.float32), rows, columns) == pytest.approx(
            np.full((1, rows, columns), 0.25)
        )


def test_the_same_size_is_the_same_picture():
    """To the last bit."""
    pictures = np.random.default_rng(2).random((3, 5, 4), np.float32)
    assert np.array_equal(ours(pictures, 5, 4), pictures)
