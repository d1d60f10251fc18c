"""Percentiles without sorting everything are numpy's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.quantiles import between, percentiles

WANTED = (0.0, 0.5, 25.0, 50.0, 99.5, 100.0)
RNG = np.random.default_rng(5)
STACKS = {
    "noise": RNG.normal(0, 300, 100_000),
    "mostly background": np.where(RNG.random(100_000) < 0.6, 0, RNG.normal(500, 90, 100_000)),
    "whole numbers": RNG.integers(-1024, 3000, 200_001),
    "two values": RNG.integers(0, 2, 50_000),
    "one value": np.full(30_000, 7.0),
    "one outlier": np.r_[np.zeros(40_000), 9.0],
    "a ramp, which its sample misses": np.sort(RNG.normal(0, 1, 100_000)),
    "periodic, as its sample": np.tile([0.0, 1, 2, 3, 4, 5, 1000], 20_000),
    "few": np.array([3.0, 1.0, 2.0]),
    "a single one": np.array([3.0]),
}


def ours(values, pieces=1):
    """The wanted percentiles of values that come in pieces."""
    parts = np.array_split(values, pieces)
    return [between(*pair) for pair in percentiles(lambda: iter(parts), values.size, WANTED)]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("pieces", [1, 7])
def test_they_are_the_same_numbers(name, pieces):
    """To the last bit, in one piece or several."""
    values = STACKS[name].astype(np.float32)
    pieces = min(pieces, values.size)
    assert ours(values, pieces) == np.percentile(values, WANTED).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.integers(1, 900))
def test_they_are_the_same_numbers_whatever_repeats(values, times):
    """Any values, each any number of times."""
    stack = np.repeat(np.array(values, np.float32), times)
    assert ours(stack) == np.percentile(stack, WANTED).tolist()


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("bounds", [(-200.0, 400.0), (0.0, 0.5), (0.0, 9.0), (500.1, 501.0), (-np.inf, 3.0)])
def test_bounds_clip_every_value(name, bounds):
    """What lies at a bound, or beyond, counts as the bound: the same numbers as of the clipped stack."""
    values = STACKS[name].astype(np.float32)
    found = [between(*pair) for pair in percentiles(lambda: iter([values]), values.size, WANTED, bounds)]
    assert found == np.percentile(np.clip(values, *bounds), WANTED).tolist()


def test_a_bound_needs_enough_values_beyond_it():
    """One value more or fewer below the bound tells whether the percentile lies there, whatever the sample says."""
    for below in (499, 500, 501, 502, 503):
        values = np.r_[np.zeros(below), np.linspace(1, 2, 100_001 - below)].astype(np.float32)
        expected = np.percentile(np.clip(values, 0.5, 1.9), WANTED).tolist()
        parts = [values]
        assert [
            between(*p) for p in percentiles(lambda parts=parts: iter(parts), values.size, WANTED, (0.5, 1.9))
        ] == expected
