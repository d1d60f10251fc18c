"""X-rays of bones as they are published: MURA, LERA, FracAtlas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from inference.datasets.example import (
    Example,
    Layout,
    Stack,
    bare_rows_of,
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
        for path in sorted(_mura_paths(root, split)):
            region, patient, study = path.parts[-4:-1]
            labels = {
                "modality": "xr",
                "region": _REGIONS.get(region.removeprefix("XR_").lower(), ""),
                "abnormal": _ABNORMAL.get(study.rpartition("_")[2].lower(), ""),
                "source": "mura",
            }
            yield Example(str(path.relative_to(root)), patient, split, labels, one_slice(path))


def _mura_paths(root: Path, split: str) -> Iterator[Path]:
    """Those listed, which begin with the name of the published folder, whether or not they are there."""
    listed = root / f"{split}_image_paths.csv"
    if listed.is_file():
        return (root.joinpath(*PurePosixPath(row[0]).parts[1:]) for row in bare_rows_of(listed) if row)
    found = (root / split).glob("XR_*/patient*/study*_*/*")
    return (path for path in found if path.suffix.lower() == ".png" and not path.name.startswith("."))


def _lera(root: Path) -> Iterator[Example]:
    """labels.csv (patient, body part, abnormal; without a header) and PATIENT/STUDY/image.png."""
    for row in bare_rows_of(root / "labels.csv"):
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


#: Columns of dataset.csv of FracAtlas (Abedeen et al., 2023) to regions; others say nothing definite.
_FRACATLAS = {"hand": "hand", "shoulder": "shoulder", "hip": "joint"}


def _fracatlas(root: Path) -> Iterator[Example]:
    """dataset.csv, images/Fractured and images/Non_fractured, Annotations/YOLO/NAME.txt; one picture a patient."""
    published = _fracture_split(root)
    for row in rows_of(root / "dataset.csv", "image_id", "fractured"):
        name = row["image_id"]
        abnormal = row["fractured"].strip() == "1"
        path = root / "images" / ("Fractured" if abnormal else "Non_fractured") / name
        marked = [column for column in ("hand", "leg", "hip", "shoulder") if row.get(column, "").strip() == "1"]
        labels = {
            "modality": "xr",
            "region": _FRACATLAS.get(marked[0], "") if len(marked) == 1 else "",
            "abnormal": "yes" if abnormal else "no",
            "source": "fracatlas",
        }
        boxes = root / "Annotations" / "YOLO" / f"{Path(name).stem}.txt"
        read = _fracture(path, boxes, drawn=not abnormal or boxes.is_file())
        yield Example(str(path.relative_to(root)), name, published.get(name) or split_of(name), labels, read)


def _fracture_split(root: Path) -> dict[str, str]:
    """Picture -> split as published, which is so for those with a fracture alone."""
    tables = {split: root / "Utilities" / "Fracture Split" / f"{split}.csv" for split in ("train", "valid", "test")}
    return {
        row["image_id"]: split
        for split, table in tables.items()
        if table.is_file()
        for row in rows_of(table, "image_id")
    }


def _fracture(path: Path, boxes: Path, *, drawn: bool) -> Callable[[], Stack]:
    """A fracture without a file of boxes is one that nobody drew."""
    return lambda: Stack(read_picture(path)[None], boxes=read_boxes(boxes) if drawn else None)


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
