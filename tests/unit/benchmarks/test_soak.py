"""The soak holds the beginning against the end, without what is made ready first."""

import pytest

from benchmarks.soak import Course


@pytest.mark.parametrize(
    ("samples", "first", "last"),
    [
        (515, range(15, 65), range(465, 515)),  # 10,300 studies: a tenth of what comes after the first 300
        (20, range(5, 6), range(19, 20)),  # of a short run a quarter is left out
        (1, range(1), range(1)),
    ],
)
def test_the_first_tenth_is_held_against_the_last(samples, first, last):
    """Of times and of memory alike."""
    course = Course([float(number) for number in range(samples)], {"MB": [float(number) for number in range(samples)]})
    ends = course.ends()
    assert ends["MB"][0].values == tuple(map(float, first))
    assert ends["MB"][1].values == tuple(map(float, last))
    assert ends["ms per study"][1].values == tuple(1000.0 * number for number in last)
