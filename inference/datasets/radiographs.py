"""X-rays of bones as they are published: MURA, LERA, FracAtlas."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from inference.datasets.example import (
    DataSetError,
    Example,
    Layout,
    Stack,
    one_slice,
    pictures_in,
    read_picture,
    rows_of,
    split_of,
)
from inference.datasets.own import read_boxes
from inference.findings import Task

#: MURA's studies (Rajpurkar et al., 2018) and LERA's (Varma et al., 2019), lower case, to regions of the cascade.
_REGIONS = {
    **{name: name for name in ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")},
    **dict.fromkeys(("foot", "knee", "ankle", "hip"), "joint"),
}
_ABNORMAL = {"1": "yes", "0": "no", "positive": "yes", "negative": "no"}


def _mura(root: Path) -> Iterator[Example]:
    """train|valid/XR_ELBOW/patient00011/study1_negative/image1.png, listed in *_image_paths.csv where that is there."""
    for split in ("train", "valid"):
        for path in sorted((root / split).glob("XR_*/patient*/study*_*/*")):
            region, patient, study = path.parts[-4:-1]
            if path.suffix.lower() != ".png" or path.name.startswith("."):
                continue
            labels = {
                "modality": "xr",
                "region": _REGIONS[region.removeprefix("XR_").lower()],
                "abnormal": _ABNORMAL[study.rpartition("_")[2].lower()],
                "source": "mura",
            }
            yield Example(str(path.relative_to(root)), patient, split, labels, one_slice(path))


def _lera(root: Path) -> Iterator[Example]:
    """labels.csv (patient, body part, abnormal; without a header) and PATIENT/STUDY/image.png."""
    for row in _bare_rows(root / "labels.csv"):
        if len(row) < 3 or not row[0].strip().isdigit():
            continue  # a header, where there is one
        patient, part = row[0].strip(), row[1].strip().lower().removeprefix("xr").strip(" _")
        for path in sorted((root / patient).rglob("*.png")):
            labels = {
                "modality": "xr",
                "region": _REGIONS.get(part, ""),
                "abnormal": _ABNORMAL.get(row[2].strip(), ""),
                "source": "lera",
            }
            yield Example(str(path.relative_to(root)), patient, split_of(patient), labels, one_slice(path))


def _bare_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error


#: Columns of dataset.csv of FracAtlas (Abedeen et al., 2023) to regions; others say nothing definite.
_FRACATLAS = {"hand": "hand", "shoulder": "shoulder", "hip": "joint"}


def _fracatlas(root: Path) -> Iterator[Example]:
    """dataset.csv, images/Fractured and images/Non_fractured, Annotations/YOLO/NAME.txt; one picture a patient."""
    for row in rows_of(root / "dataset.csv"):
        name = row["image_id"]
        abnormal = row.get("fractured", "").strip() == "1"
        path = root / "images" / ("Fractured" if abnormal else "Non_fractured") / name
        marked = [column for column in ("hand", "leg", "hip", "shoulder") if row.get(column, "").strip() == "1"]
        boxes = root / "Annotations" / "YOLO" / f"{Path(name).stem}.txt"
        labels = {
            "modality": "xr",
            "region": _FRACATLAS.get(marked[0], "") if len(marked) == 1 else "",
            "abnormal": "yes" if abnormal else "no",
            "source": "fracatlas",
        }
        yield Example(
            str(path.relative_to(root)),
            name,
            split_of(name),
            labels,
            lambda path=path, boxes=boxes: Stack(read_picture(path)[None], boxes=read_boxes(boxes)),  # type: ignore[misc]
        )


def _is_lera(root: Path) -> bool:
    return (root / "labels.csv").is_file() and any(
        pictures_in(study) for patient in _patients(root) for study in patient.iterdir() if study.is_dir()
    )


def _patients(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and path.name.isdigit()][:1]


LAYOUTS = (
    Layout("mura", frozenset({Task.CLASSIFICATION}), lambda root: any(root.glob("*/XR_*/patient*")), _mura),
    Layout("lera", frozenset({Task.CLASSIFICATION}), _is_lera, _lera),
    Layout(
        "fracatlas", frozenset({Task.CLASSIFICATION, Task.DETECTION}),
        lambda root: (root / "dataset.csv").is_file() and (root / "images" / "Fractured").is_dir(), _fracatlas,
    ),
)  # fmt: skip
