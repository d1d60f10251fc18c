"""Every layout by name; what lies in a folder is recognised."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from inference.datasets import own, radiographs, sections
from inference.datasets.example import DataSetError, Example, Layout

#: Where other distributions, and the node itself for DICOM folders, register a `Layout`.
ENTRY_POINTS = "dicom_node.layouts"


def layouts() -> dict[str, Layout]:
    """By name, in the order in which a folder is compared with them: the more particular first."""
    known = (*radiographs.LAYOUTS, *sections.LAYOUTS, *own.LAYOUTS)
    brought = (point.load() for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name))
    return {layout.name: layout for layout in (*known, *brought)}


def layout_of(root: Path, name: str = "") -> Layout:
    """The layout of that name, or, without one, the first that the folder looks like. Raises DataSetError."""
    if not root.is_dir():
        raise DataSetError(f"{root} is no folder")
    known = layouts()
    if name:
        if name not in known:
            raise DataSetError(f"layout {name!r} is not known; known are {', '.join(known)}")
        return known[name]
    found = next((layout for layout in known.values() if layout.is_at(root)), None)
    if found is None:
        raise DataSetError(f"{root} is none of the known layouts: {', '.join(known)}")
    return found


def examples_of(root: Path, split: str, name: str = "") -> Iterator[Example]:
    """Of one split of a data set. Raises DataSetError."""
    return (example for example in layout_of(root, name).examples(root) if example.split == split)
