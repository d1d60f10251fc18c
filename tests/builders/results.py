"""Reads result objects back with highdicom, an implementation that knows nothing of the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
