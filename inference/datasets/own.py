"""The three layouts that recipes of this project use: labels-csv, lgg-index, yolo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.datasets.example import (
    Box,
    DataSetError,
    Example,
    Layout,
    Stack,
    explained,
    named_split,
    one_slice,
    pictures_in,
    read_picture,
    rows_of,
    stacked,
)
from inference.findings import Task

#: Channel of the LGG pictures that holds FLAIR (pre-contrast, FLAIR, post-contrast).
FLAIR = 1


def _labelled(root: Path) -> Iterator[Example]:
    for row in rows_of(root / "labels.csv"):
        if not row.get("path") or not row.get("split"):
            raise DataSetError(f"{root / 'labels.csv'}: a row has no path or no split; every row needs both")
        yield Example(row["path"], row.get("subject") or row["path"], row["split"], row, one_slice(root / row["path"]))


def _outlined(root: Path) -> Iterator[Example]:
    patients: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows_of(root / "index.csv", "patient", "slice", "image", "mask", "split"):
        if not row["slice"].isdigit():
            raise DataSetError(f"{root / 'index.csv'}: slice {row['slice']!r} is no number; slices are in its order")
        patients[row["split"], row["patient"]].append(row)
    for (split, patient), rows in patients.items():
        ordered = tuple(sorted(rows, key=lambda row: int(row["slice"])))
        labels = {"modality": "mr", "region": "brain", "source": root.name}
        yield Example(patient, patient, split, labels, lambda rows=ordered: _read_patient(root, rows))  # type: ignore[misc]


def _read_patient(root: Path, rows: tuple[dict[str, str], ...]) -> Stack:
    """FLAIR 0..255 and mask of one patient's slices."""
    flair = [read_channel(root / row["image"], FLAIR) for row in rows]
    return stacked(flair, [read_picture(root / row["mask"]) > 127 for row in rows])


def read_channel(path: Path, channel: int) -> NDArray[np.float32]:
    """One colour of a picture, 0..255 (row, column). Raises Unreadable."""
    with explained(path), Image.open(path) as picture:
        return np.ascontiguousarray(np.asarray(picture.convert("RGB"), np.float32)[..., channel])


def _boxed(root: Path) -> Iterator[Example]:
    """images/SPLIT/NAME.jpg with labels/SPLIT/NAME.txt; without a file of labels, or with an empty one, nothing is
    shown. What stands before an underscore in the name is the source."""
    for folder in sorted(path for path in (root / "images").iterdir() if path.is_dir()):
        for path in pictures_in(folder):
            labels = root / "labels" / folder.name / f"{path.stem}.txt"
            source, mark, _ = path.stem.partition("_")
            yield Example(
                f"images/{folder.name}/{path.name}",
                path.stem,
                named_split(folder.name),
                {"source": source if mark else ""},
                lambda path=path, labels=labels: Stack(read_picture(path)[None], boxes=read_boxes(labels)),  # type: ignore[misc]
            )


def read_boxes(path: Path) -> tuple[Box, ...]:
    """Lines `class x y width height`, centre and size as parts of the picture. Raises DataSetError for others."""
    found = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""  # no number is replaced
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != 5 or row[0] < 0 or row[0] != int(row[0]) or not all(0 <= value <= 1 for value in row[1:]):
            raise DataSetError(
                f"{path}:{number}: expected a class and four numbers from 0 to 1: centre x, centre y, width, height; "
                "correct the line"
            )
        x, y, width, height = row[1:]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        found.append(Box(int(row[0]), *(min(max(value, 0.0), 1.0) for value in corners)))
    return tuple(found)


LAYOUTS = (
    Layout(
        "labels-csv", frozenset({Task.CLASSIFICATION}), lambda root: (root / "labels.csv").is_file()
        and "split" in next(rows_of(root / "labels.csv"), {}), _labelled
    ),
    Layout("lgg-index", frozenset({Task.SEGMENTATION}), lambda root: (root / "index.csv").is_file(), _outlined),
    Layout("yolo", frozenset({Task.DETECTION}), lambda root: (root / "images").is_dir()
           and (root / "labels").is_dir(), _boxed),
)  # fmt: skip
