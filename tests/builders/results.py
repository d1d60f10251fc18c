"""Reads result objects back with highdicom, an implementation that knows nothing of the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset


def by_modality(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Modality -> result files."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(str(dcmread(path, stop_before_pixels=True).Modality), []).append(path)
    return found


def mask_of(segmentation: Path, sources: Sequence[Dataset]) -> NDArray[np.bool_]:
    """Every segment as one mask (source, row, column), in the order of `sources`, found by what the SEG refers to."""
    seg = hd.seg.segread(segmentation)
    frames = seg.get_pixels_by_source_instance(
        [str(source.SOPInstanceUID) for source in sources],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    return np.asarray(frames).any(axis=-1)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def texts_of(report: Path) -> str:
    """All that a report says: names, texts, codes and numbers, one item a line."""
    lines: list[str] = []

    def walk(item: Dataset) -> None:
        for name in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            lines.extend(str(code.CodeMeaning) for code in item.get(name, []))
        lines.extend(str(item[name].value) for name in ("TextValue", "UID") if name in item)
        lines.extend(
            f"{value.NumericValue} {value.MeasurementUnitsCodeSequence[0].CodeValue}"
            for value in item.get("MeasuredValueSequence", [])
        )
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(dcmread(report))
    return "\n".join(lines)


def numbers_of(report: Path, name: str) -> list[float]:
    """The values of every measurement of that name."""
    found: list[float] = []

    def walk(item: Dataset) -> None:
        if item.get("ValueType") == "NUM" and item.ConceptNameCodeSequence[0].CodeMeaning == name:
            found.append(float(item.MeasuredValueSequence[0].NumericValue))
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(dcmread(report))
    return found


@dataclass(frozen=True)
class DrawnGroup:
    """What a report says of one tracking UID that has an outline: its numbers, and the points of its first outline."""

    tracking_uid: str
    numbers: tuple[tuple[str, float, str], ...]
    points: int


def drawn_groups(report: Dataset) -> list[DrawnGroup]:
    """Measurement groups with coordinates, in the order of the report, together with those of the same tracking UID."""
    found: dict[str, list[Dataset]] = {}
    for container in _named(report, "Imaging Measurements"):
        for group in container.ContentSequence:
            (tracking,) = _named(group, "Tracking Unique Identifier")
            found.setdefault(str(tracking.UID), []).extend(group.ContentSequence)
    groups = []
    for tracking_uid, items in found.items():
        outlines = [len(item.GraphicData) // 2 for item in items if item.ValueType == "SCOORD"]
        if outlines:
            groups.append(
                DrawnGroup(tracking_uid, tuple(_number(item) for item in items if item.ValueType == "NUM"), outlines[0])
            )
    return groups


def _named(item: Dataset, meaning: str) -> list[Dataset]:
    """Its children of that name."""
    return [child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def _number(item: Dataset) -> tuple[str, float, str]:
    """Name, value and unit."""
    (value,) = item.MeasuredValueSequence
    unit = value.MeasurementUnitsCodeSequence[0].CodeValue
    return str(item.ConceptNameCodeSequence[0].CodeMeaning), float(value.NumericValue), str(unit)
