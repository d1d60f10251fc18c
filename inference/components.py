"""Connected components of a stack's scores, which come part by part and are never in memory as a whole.

Of each slice only what is above the threshold is kept. What hangs together on one slice is an island; islands of
neighbouring slices that touch belong to one component.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inference.voxels import Mask, Patch, patch_of

#: Voxels that touch at a corner belong to one component, on a slice and across slices.
_TOUCHING = np.ones((3, 3, 3), np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """Voxels that hang together, with their scores."""

    mask: Mask
    mean_score: float


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """What is above the threshold on one slice: a bit for each pixel, a score for each that is."""

    slice_index: int
    shape: tuple[int, int]
    bits: NDArray[np.uint8]
    scores: NDArray[np.float32]
    #: Islands of the whole stack are counted on: those of this slice from here.
    first_island: int

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(row, column)."""
        rows, columns = self.shape
        return np.unpackbits(self.bits, count=rows * columns).view(np.bool_).reshape(self.shape)

    def islands(self) -> NDArray[np.int64]:
        """Of each pixel inside, in the order of `scores`, the number of its island."""
        inside = self.inside
        numbers, _ = label(inside, _TOUCHING[0])
        return numbers[inside].astype(np.int64) + (self.first_island - 1)


def components(
    scores: Iterable[NDArray[np.float32]], shape: tuple[int, int, int], threshold: float, smallest: float
) -> tuple[Component, ...]:
    """Those of at least `smallest` voxels above `threshold`, the largest first; of equal ones that which begins first.

    `scores` are parts (slice, row, column) of a stack of `shape`, from its first slice on. It takes ten bytes at most
    for each voxel above the threshold, and a bit for each other one on its slice.
    """
    layers = _layers(scores, threshold)
    owner = _owners(layers)
    sizes = np.zeros(len(owner), np.int64)
    for layer in layers:
        counts = np.bincount(owner[layer.islands()])
        sizes[: len(counts)] += counts
    large = [int(number) for number in np.flatnonzero(sizes) if sizes[number] >= smallest]
    patches: dict[int, list[Patch]] = {number: [] for number in sorted(large, key=lambda each: (-sizes[each], each))}
    values: dict[int, list[NDArray[np.float32]]] = {number: [] for number in patches}
    layers.reverse()
    while layers:  # the scores move, so that they are not in memory twice
        for number, patch, own in _owned(layers.pop(), owner, patches.keys()):
            patches[number].append(patch)
            values[number].append(own)
    return tuple(
        Component(Mask(shape, tuple(found)), float(np.concatenate(values.pop(number)).mean()))
        for number, found in patches.items()
    )


def _layers(scores: Iterable[NDArray[np.float32]], threshold: float) -> list[_Layer]:
    """The slices with something above the threshold."""
    layers: list[_Layer] = []
    count = 0
    for index, one in enumerate(each for part in scores for each in part):
        inside = one > threshold
        if inside.any():
            layers.append(_Layer(index, (one.shape[0], one.shape[1]), np.packbits(inside), one[inside], count))
            count += label(inside, _TOUCHING[0])[1]
    return layers


def _owners(layers: Sequence[_Layer]) -> NDArray[np.int64]:
    """Of each island the first one of its component."""
    pairs = [np.zeros((2, 0), np.int64), *(_touching(one, other) for one, other in pairwise(layers))]
    count = int(layers[-1].islands().max()) + 1 if layers else 0
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    _, first, component = np.unique(numbers, return_index=True, return_inverse=True)
    return first[component]


def _touching(one: _Layer, other: _Layer) -> NDArray[np.int64]:
    """(2, n): islands of two layers, each beside the first of those it hangs together with on these two slices."""
    if one.slice_index + 1 != other.slice_index:
        return np.zeros((2, 0), np.int64)
    inside = np.stack([one.inside, other.inside])
    joint = label(inside, _TOUCHING)[0][inside]
    numbers = np.concatenate([one.islands(), other.islands()])
    islands, where = np.unique(numbers, return_index=True)
    _, first = np.unique(joint, return_index=True)
    return np.stack([islands, numbers[first][joint[where] - 1]])


def _owned(
    layer: _Layer, owner: NDArray[np.int64], wanted: Collection[int]
) -> Iterator[tuple[int, Patch, NDArray[np.float32]]]:
    """Those of the wanted components that are on a layer: number, voxels with scores in 255ths, scores."""
    inside, owners = layer.inside, owner[layer.islands()]
    for number in (each for each in np.unique(owners) if each in wanted):
        own, values = np.zeros(layer.shape, np.bool_), layer.scores[owners == number]
        own[inside] = owners == number
        levels = np.zeros(layer.shape, np.uint8)
        levels[own] = (values * 255).round().astype(np.uint8)
        patch = patch_of(layer.slice_index, own, levels)
        if patch is not None:
            yield int(number), patch, values
