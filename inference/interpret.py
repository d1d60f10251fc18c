"""Numbers from a network become findings: scores to a label, a score map to lesions with their measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from inference.cards import OperatingPoint
from inference.components import components
from inference.findings import Classification, Measurement, Quantity, Region, Segment
from inference.volume import Volume
from inference.voxels import Mask

_PLANES = ("sagittal", "coronal", "axial")


def slices_to_show(count: int, wanted: int = 9) -> tuple[int, ...]:
    """Indices spread over the middle four fifths of a stack, where the anatomy is; every slice of a short stack."""
    if count <= wanted:
        return tuple(range(count))
    return tuple(int(i) for i in np.linspace(0.1 * (count - 1), 0.9 * (count - 1), wanted).round())


def plane_of(volume: Volume) -> str | None:
    """The anatomical plane nearest to the stack's, from its geometry; None where the source states none."""
    if volume.affine is None:
        return None
    normal = np.cross(volume.affine[:3, 1], volume.affine[:3, 2])
    return _PLANES[int(np.abs(normal).argmax())]


def classification(classes: Sequence[str], scores: NDArray[np.float32], slices: tuple[int, ...]) -> Classification:
    """One answer from the scores (slice, class) of several slices: the median of each class, so that a slice or two at
    the end of a stack, which show little, neither decide nor cast doubt. Where slices contradict each other, no class
    scores high."""
    typical = np.median(scores, axis=0)
    best = int(typical.argmax())
    return Classification(
        label=classes[best],
        score=float(typical[best]),
        scores=tuple((name, float(score)) for name, score in zip(classes, typical, strict=True)),
        slices=slices,
    )


def is_outside(answer: Classification, question: str, minimum_score: Mapping[str, float]) -> bool:
    """Whether no class is likely enough for an answer."""
    return answer.score < minimum_score.get(question, 0.0)


def axes_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Longest diameter of a 2-D mask (row, column) and the widest extent at right angles to it, in mm,
    pixel corners included."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate([np.stack([rows + dr, columns + dc], 1) for dr in (0, 1) for dc in (0, 1)]) * np.array(
        spacing_mm
    )
    hull = corners[ConvexHull(corners).vertices]
    distances = cdist(hull, hull)
    one, other = np.unravel_index(distances.argmax(), distances.shape)
    long = float(distances[one, other])
    direction = (hull[other] - hull[one]) / long
    across = hull @ np.array([-direction[1], direction[0]])
    return long, float(across.max() - across.min())


def _measure(volume: Volume, mask: Mask) -> tuple[Measurement, ...]:
    """What the source's geometry allows to measure."""
    measurements = []
    voxel = volume.voxel_volume_mm3
    if voxel is not None:
        measurements.append(Measurement(Quantity.VOLUME_ML, float(mask.count) * voxel / 1000))
    if volume.pixel_spacing_mm is not None:
        largest = mask.largest_slice
        long, short = axes_mm(mask.on(largest), volume.pixel_spacing_mm)
        measurements.append(Measurement(Quantity.LONG_AXIS_MM, long, largest))
        measurements.append(Measurement(Quantity.SHORT_AXIS_MM, short, largest))
    return tuple(measurements)


def _intersection(one: Region, other: Region) -> float:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(width, 0.0) * max(height, 0.0)


def _area(box: Region) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def intersection_over_union(one: Region, other: Region) -> float:
    """Of two boxes, whatever slices they lie on; 0 to 1."""
    common = _intersection(one, other)
    return common / (_area(one) + _area(other) - common) if common else 0.0


def intersection_over_smaller(one: Region, other: Region) -> float:
    """How much of the smaller of two boxes lies in the larger, whatever slices they lie on; 0 to 1."""
    common = _intersection(one, other)
    return common / min(_area(one), _area(other)) if common else 0.0


def track(boxes: Sequence[Region], at_least: float = 0.7) -> tuple[Region, ...]:
    """One region for each thing that boxes of neighbouring slices show: the best of them, the best thing first.

    A box continues the thing whose last box lies on the slice before, or on the one before that, if `at_least` that
    part of the smaller of the two lies in the larger: at its ends a thing gets small within a slice or two.
    """
    things: list[list[Region]] = []
    for box in sorted(boxes, key=lambda box: (box.slice_index, -box.score)):
        near = [thing for thing in things if 1 <= box.slice_index - thing[-1].slice_index <= 2]
        overlaps = [intersection_over_smaller(thing[-1], box) for thing in near]
        if overlaps and max(overlaps) >= at_least:
            near[overlaps.index(max(overlaps))].append(box)
        else:
            things.append([box])
    best = [
        replace(max(thing, key=lambda box: box.score), extent=(thing[0].slice_index, thing[-1].slice_index))
        for thing in things
    ]
    return tuple(sorted(best, key=lambda box: -box.score))


def lesions(
    volume: Volume, scores: Iterable[NDArray[np.float32]], name: str, point: OperatingPoint
) -> tuple[Segment, ...]:
    """Connected components of scores above the threshold, small ones dropped, largest first. `scores` gives those of
    the whole volume in parts (slice, row, column), from the first slice on."""
    voxel = volume.voxel_volume_mm3
    smallest = point.minimum_pixels if voxel is None else point.minimum_volume_ml * 1000 / voxel
    found = components(scores, volume.shape, point.threshold, smallest)
    return tuple(
        Segment(name, number, each.mask, each.mean_score, _measure(volume, each.mask))
        for number, each in enumerate(found, start=1)
    )
