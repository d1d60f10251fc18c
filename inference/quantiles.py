"""Percentiles of a stack that need not be in memory: what `numpy.percentile` gives, without sorting all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
#: About so many values tell between which two the wanted one lies; then only those between are sorted.
_SAMPLE = 1 << 14
#: How far beside its place in the sample a value may lie, in places, at first.
_MARGIN = 64
#: Values looked at together, which stay in the processor's cache meanwhile.
_PIECE = 1 << 16


def percentiles(
    parts: Callable[[], Iterable[Values]],
    count: int,
    wanted: Sequence[float],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[tuple[Values, float], ...]:
    """Of each wanted percentile the two values of the stack that it lies between, and how far from the first, 0 to 1.

    `parts` gives the `count` values of the stack in parts, the same ones each time; all are numbers, and count as
    clipped to `bounds`. `between` makes one number of a pair. Linear, as numpy's default (method 7 of Hyndman and Fan,
    1996).
    """
    step = max(1, count // _SAMPLE)
    sample = np.sort(np.concatenate([part.reshape(-1)[::step] for part in parts()]))
    found = []
    for each in wanted:
        place = (count - 1) * (each / 100)
        first = min(math.floor(place), count - 1)
        ranks = first, min(first + 1, count - 1)
        pair = _at_bound(parts, ranks, sample, count, bounds)
        if pair is None:  # clipping changes no order: to clip the few values that count is to clip them all
            pair = np.clip(_at_ranks(parts, ranks, sample, count), *bounds)
        found.append((pair, place - first))
    return tuple(found)


def between(pair: Values, weight: float) -> float:
    """The number so far on the way from the first of a pair to the second; rounded as numpy rounds it."""
    low, high, step = float(pair[0]), float(pair[1]), float(pair[1] - pair[0])
    return high - step * (1 - weight) if weight >= 0.5 else low + step * weight


def _at_bound(
    parts: Callable[[], Iterable[Values]],
    ranks: tuple[int, int],
    sample: Values,
    count: int,
    bounds: tuple[float, float],
) -> Values | None:
    """A bound twice where enough values lie at or beyond it to take up both places; None where not.

    A window often leaves half of the picture black: a part of it then tells, and nothing needs to be sorted.
    """
    (low, high), likely = bounds, sample[ranks[0] * len(sample) // count]
    if likely <= low and _are_at_least(ranks[1] + 1, (part <= low for part in _pieces(parts))):
        return np.full(2, low, np.float32)
    if likely >= high and _are_at_least(count - ranks[0], (part >= high for part in _pieces(parts))):
        return np.full(2, high, np.float32)
    return None


def _are_at_least(number: int, which: Iterable[NDArray[np.bool_]]) -> bool:
    """Whether so many are true; looks no further than it must."""
    counted = accumulate(int(np.count_nonzero(some)) for some in which)
    return any(so_far >= number for so_far in counted)


def _pieces(parts: Callable[[], Iterable[Values]]) -> Iterator[Values]:
    for part in parts():
        flat = part.reshape(-1)
        yield from (flat[first : first + _PIECE] for first in range(0, flat.size, _PIECE))


def _at_ranks(parts: Callable[[], Iterable[Values]], ranks: tuple[int, int], sample: Values, count: int) -> Values:
    """The values that would stand at two neighbouring places, were all sorted."""
    place, margin = ranks[0] * len(sample) // count, _MARGIN
    while True:  # it ends: between minus infinity and infinity is everything
        first, last = place - margin, place + 1 + margin
        low = sample[first] if first >= 0 else np.float32(-np.inf)
        high = sample[last] if last < len(sample) else np.float32(np.inf)
        found = _within(parts, ranks, low, high)
        if found is not None:
            return found
        margin *= 8


def _within(
    parts: Callable[[], Iterable[Values]], ranks: tuple[int, int], low: np.float32, high: np.float32
) -> Values | None:
    """The values at the ranks, if they are `low`, `high`, or between the two; otherwise None."""
    up_to_low = 0
    inside = []
    for part in parts():
        flat = part.reshape(-1)
        above = flat > low
        up_to_low += flat.size - int(np.count_nonzero(above))
        above &= flat < high
        inside.append(flat[above])
    middle = np.concatenate(inside)
    places = [rank - up_to_low for rank in ranks]
    if places[0] < 0 and not sum(int(np.count_nonzero(part < low)) for part in parts()) <= ranks[0]:
        return None
    if places[1] >= len(middle) and not ranks[1] < sum(int(np.count_nonzero(part <= high)) for part in parts()):
        return None
    sorted_places = [place for place in places if 0 <= place < len(middle)]
    if sorted_places:
        middle.partition(sorted_places)
    values = [low if place < 0 else high if place >= len(middle) else middle[place] for place in places]
    return np.array(values, np.float32)
