"""Real brain MR of the shared data as DICOM series; its pictures never leave the test's temporary folder."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from tests.builders.datasets import mr_series

#: Set the variable where the data lie elsewhere.
SHARED = Path(os.environ.get("DICOM_NODE_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
_LGG = SHARED / "data" / "segmentation" / "lgg"


@dataclass(frozen=True, eq=False)
class RealCase:
    """One patient of the validation split: FLAIR as an axial series, and what a radiologist outlined."""

    instances: list[Dataset]
    #: bool (slice, row, column).
    mask: NDArray[np.bool_]


def lgg_patients() -> list[str]:
    """The patients of the validation split; skips the test where the data are absent."""
    return sorted({row["patient"] for row in _index() if row["split"] == "valid"})


def lgg_case(patient: str) -> RealCase:
    """FLAIR is the second channel of a picture."""
    rows = sorted((row for row in _index() if row["patient"] == patient), key=lambda row: int(row["slice"]))
    pixels = np.stack([np.asarray(Image.open(_LGG / row["image"]))[..., 1] for row in rows]).astype(np.uint16)
    mask = np.stack([np.asarray(Image.open(_LGG / row["mask"]).convert("L")) > 127 for row in rows])
    instances = mr_series(pixels.shape, pixels=pixels, spacing=(5.0, 0.9, 0.9), study=f"lgg {patient}")
    return RealCase(instances, mask)


def _index() -> list[dict[str, str]]:
    index = _LGG / "index.csv"
    if not index.exists():
        pytest.skip(f"no real cases: {index} does not exist; set DICOM_NODE_SHARED to the folder that has data/")
    with index.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
