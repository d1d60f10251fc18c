"""Frames of one series sorted and split into stacks by where they lie in the patient; numbers only, no data sets."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from inference.volume import FrameReference

#: Direction cosines are stated to about six digits; 0.001 is a twentieth of a degree.
COSINE_TOLERANCE = 1e-3
#: Closer than this along the normal, two frames show the same place.
POSITION_TOLERANCE_MM = 0.01
#: Gaps between slices may differ by this part of themselves and still count as even.
GAP_TOLERANCE = 0.01

Vector = tuple[float, float, float]

#: The patient axis that a stack's normal follows most (LPS) names its plane.
PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies: Image Position and Image Orientation (Patient), LPS, mm (PS3.3 C.7.6.2.1.1)."""

    position: Vector
    #: Direction of a row, in which the column index grows.
    row_cosines: Vector
    #: Direction of a column, in which the row index grows.
    column_cosines: Vector


@dataclass(frozen=True, slots=True)
class Grid:
    """What frames must share besides their place to lie in one array."""

    rows: int
    columns: int
    #: Photometric kind: "grey", "inverse grey" or "colour".
    kind: str
    pixel_spacing_mm: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class StackFrame:
    """What stacking needs to know of one frame."""

    reference: FrameReference
    instance_number: int
    grid: Grid
    place: Place | None
    #: Frames without a place form a stack with those of the same `gathering`.
    gathering: str = ""
    #: What may tell frames at one place apart: (keyword, value), the same keywords in the same order for every frame.
    traits: tuple[tuple[str, str], ...] = ()

    @property
    def order(self) -> tuple[int, int, str]:
        """The order in which the modality numbered the frames."""
        return self.instance_number, self.reference.frame_number or 0, self.reference.sop_instance_uid


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames sorted along their normal, or as numbered where they have no place; fields as in `Volume`."""

    frames: tuple[StackFrame, ...]
    label: str
    affine: NDArray[np.float64] | None
    slice_spacing_mm: float | None
    even_spacing: bool


def split_into_stacks(frames: Sequence[StackFrame]) -> tuple[Stack, ...]:
    """The stacks of one series, in the order of their first frames; the label says what tells a stack from the others.

    Frames part where matrix, colour, pixel spacing or orientation differ, and where positions repeat.
    The order of `frames` does not matter.
    """
    alike = _group_alike(sorted(frames, key=lambda frame: frame.order))
    labels = _labels([_describe(group[0]) for group in alike])
    parts = [
        (", ".join(filter(None, (label, repeat))), members)
        for label, group in zip(labels, alike, strict=True)
        for repeat, members in _split_repeats(group)
    ]
    parts.sort(key=lambda part: min(frame.order for frame in part[1]))
    return tuple(_stack(members, label) for label, members in parts)


def _group_alike(frames: Iterable[StackFrame]) -> list[list[StackFrame]]:
    groups: list[list[StackFrame]] = []
    for frame in frames:
        group = next((group for group in groups if _alike(group[0], frame)), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return groups


def _alike(one: StackFrame, other: StackFrame) -> bool:
    if (one.grid.rows, one.grid.columns, one.grid.kind) != (other.grid.rows, other.grid.columns, other.grid.kind):
        return False
    if not _close(one.grid.pixel_spacing_mm or (), other.grid.pixel_spacing_mm or ()):
        return False
    if one.place is None or other.place is None:
        return one.place is other.place and one.gathering == other.gathering
    return _close(one.place.row_cosines, other.place.row_cosines) and _close(
        one.place.column_cosines, other.place.column_cosines
    )


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=COSINE_TOLERANCE, abs_tol=COSINE_TOLERANCE) for a, b in zip(one, other, strict=True)
    )


def _describe(frame: StackFrame) -> tuple[str, ...]:
    grid, spacing = frame.grid, frame.grid.pixel_spacing_mm
    return (
        _plane(frame.place) if frame.place else f"image {frame.instance_number}",
        f"{grid.rows} x {grid.columns}",
        f"{spacing[0]:g} x {spacing[1]:g} mm" if spacing else "spacing unknown",
        grid.kind,
    )


def _plane(place: Place) -> str:
    return PLANES[int(np.argmax(np.abs(_normal(place))))]


def _labels(descriptions: Sequence[tuple[str, ...]]) -> list[str]:
    """Of each description the parts that are not the same everywhere."""
    telling = [len(set(part)) > 1 for part in zip(*descriptions, strict=True)]
    return [
        ", ".join(part for part, tells in zip(description, telling, strict=True) if tells)
        for description in descriptions
    ]


def _split_repeats(frames: Sequence[StackFrame]) -> list[tuple[str, list[StackFrame]]]:
    """Parts in which every position occurs once, labelled by the attribute that explains the repeats.

    An attribute, or a pair of them, explains the repeats when it parts the frames into exactly as many groups as the
    most frequent position has frames, none of which repeats a position. An attribute that changes with every frame, a
    time for instance, does not. Without an explanation the first frame at each position goes into the first stack, ...
    """
    levels = _levels(frames)
    most = max(Counter(levels).values())
    if most == 1:
        return [("", list(frames))]
    names = [name for name, _ in frames[0].traits]
    values = [[value for _, value in frame.traits] for frame in frames]
    varying = [column for column in range(len(names)) if len({row[column] for row in values}) > 1]
    for columns in chain(combinations(varying, 1), combinations(varying, 2)):
        keys = [", ".join(f"{names[column]} {row[column] or 'absent'}" for column in columns) for row in values]
        if len(set(keys)) == most and len(set(zip(keys, levels, strict=True))) == len(frames):
            return _gather(keys, frames)
    seen: Counter[int] = Counter()
    repeats = []
    for level in levels:
        seen[level] += 1
        repeats.append(f"repeat {seen[level]}")
    return _gather(repeats, frames)


def _gather(labels: Sequence[str], frames: Sequence[StackFrame]) -> list[tuple[str, list[StackFrame]]]:
    groups: dict[str, list[StackFrame]] = defaultdict(list)
    for label, frame in zip(labels, frames, strict=True):
        groups[label].append(frame)
    return list(groups.items())


def _levels(frames: Sequence[StackFrame]) -> list[int]:
    """For each frame which position along the normal it shows, counted from the lowest; all differ without places."""
    depths = _depths(frames)
    if depths is None:
        return list(range(len(frames)))
    order = np.argsort(depths, kind="stable")
    steps = np.concatenate(([0], np.cumsum(np.diff(depths[order]) > POSITION_TOLERANCE_MM)))
    levels = np.empty(len(frames), dtype=np.int64)
    levels[order] = steps
    return [int(level) for level in levels]


def _normal(place: Place) -> NDArray[np.float64]:
    return np.cross(np.array(place.row_cosines), np.array(place.column_cosines))


def _depths(frames: Sequence[StackFrame]) -> NDArray[np.float64] | None:
    """Positions projected on the first frame's normal, in mm."""
    first = frames[0].place
    if first is None:
        return None
    positions = np.array([frame.place.position for frame in frames if frame.place is not None])
    depths: NDArray[np.float64] = positions @ _normal(first)
    return depths


def _stack(members: Sequence[StackFrame], label: str) -> Stack:
    depths = _depths(members)
    if depths is None:
        frames = sorted(members, key=lambda frame: frame.order)
        return Stack(tuple(frames), label, affine=None, slice_spacing_mm=None, even_spacing=True)
    frames = [members[index] for index in np.argsort(depths, kind="stable")]
    step, slice_spacing_mm, even = _slice_step(frames, np.sort(depths))
    return Stack(tuple(frames), label, _affine(frames[0], step), slice_spacing_mm, even)


def _slice_step(
    frames: Sequence[StackFrame], depths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float | None, bool]:
    """The way from one slice to the next in mm (LPS), its length along the normal, and whether all steps are alike.

    A tilted gantry shears a stack: its step is then not parallel to the normal. One slice has the unit normal for a
    step, so that its affine can be inverted.
    """
    positions = np.array([frame.place.position for frame in frames if frame.place is not None])
    if len(frames) == 1:
        place = frames[0].place
        return _normal(place) if place else np.zeros(3), None, True
    gaps = np.diff(positions, axis=0)
    mean_step = gaps.mean(axis=0)
    mean_gap = float(np.diff(depths).mean())
    tolerance = max(POSITION_TOLERANCE_MM, GAP_TOLERANCE * mean_gap)
    even = bool(np.all(np.linalg.norm(gaps - mean_step, axis=1) <= tolerance))
    spacing = mean_gap if even else float(np.median(np.diff(depths)))
    return mean_step * (spacing / mean_gap), spacing, even


def _affine(first: StackFrame, step: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(slice, row, column, 1) to LPS mm (PS3.3 Equation C.7.6.2.1-1); None without pixel spacing."""
    place, spacing = first.place, first.grid.pixel_spacing_mm
    if place is None or spacing is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = np.array(place.column_cosines) * spacing[0]
    affine[:3, 2] = np.array(place.row_cosines) * spacing[1]
    affine[:3, 3] = place.position
    return affine
