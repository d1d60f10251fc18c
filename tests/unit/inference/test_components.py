"""Components found part by part are those that a look at the whole stack finds."""

import weakref

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label

from inference.components import components

#: Few different scores, so that some have the same size, and about half lie above the threshold.
STACKS = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6),
    elements=st.sampled_from([0.0, 0.2, 0.5, 0.55, 0.8, 1.0]).map(np.float32),
)


def whole(scores, threshold, smallest):
    """(mask, mean) of each component, with all of it in memory."""
    numbers, _ = label(scores > threshold, np.ones((3, 3, 3)))
    sizes = np.bincount(numbers.ravel())
    kept = sorted((n for n in range(1, len(sizes)) if sizes[n] >= smallest), key=lambda n: (-sizes[n], n))
    return [(numbers == n, float(scores[numbers == n].mean())) for n in kept]


@settings(deadline=None, max_examples=200)
@given(STACKS, st.integers(1, 4), st.integers(1, 5))
def test_part_by_part_as_all_at_once(scores, at_once, smallest):
    """The same voxels in the same order, and the same means to the last bit."""
    parts = (scores[first : first + at_once] for first in range(0, len(scores), at_once))
    found, wanted = components(parts, scores.shape, 0.5, smallest), whole(scores, 0.5, smallest)
    assert [each.mean_score for each in found] == [mean for _, mean in wanted]
    assert all(np.array_equal(each.mask.whole(), mask) for each, (mask, _) in zip(found, wanted, strict=True))
    for each in found:
        for patch in each.mask.patches:
            levels = (scores[patch.slice_index][patch.where] * 255).round().astype(np.uint8)
            assert np.array_equal(patch.scores, np.where(patch.inside, levels, 0))


def test_components_part_and_meet_again():
    """Two islands that touch on no slice are one by the slices above and below."""
    scores = np.zeros((3, 5, 5), np.float32)
    scores[0, 2, 1:4] = scores[1, 2, 1] = scores[1, 2, 3] = 1
    assert len(components([scores], scores.shape, 0.5, 1)) == 1
    assert len(components([scores[1:]], (2, 5, 5), 0.5, 1)) == 2


def test_an_empty_slice_parts():
    """What lies on slices that are no neighbours does not touch."""
    scores = np.zeros((3, 2, 2), np.float32)
    scores[0] = scores[2] = 0.9
    one, other = components([scores], scores.shape, 0.5, 1)
    assert (one.mask.slice_extent, other.mask.slice_extent) == ((0, 0), (2, 2))


def test_parts_may_go_when_they_were_looked_at():
    """A long stack's scores are never in memory as a whole."""
    seen = []

    def parts():
        for number in range(5):
            assert all(each() is None for each in seen[:-1])
            part = np.full((2, 4, 4), number % 2, np.float32)
            seen.append(weakref.ref(part))
            yield part
            del part

    assert len(components(parts(), (10, 4, 4), 0.5, 1)) == 2
    assert len(seen) == 5


def test_nothing_is_found_in_nothing():
    """The threshold itself is not above it."""
    assert components([np.full((2, 3, 3), 0.5, np.float32)], (2, 3, 3), 0.5, 1) == ()
