"""The files of the shared corpus that can be decoded, as objects that can be sent; they stay where they are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from dicom_node.file_meta import file_meta_of
from tests.builders.network import dataset_bytes

GOOD = (
    Path(os.environ.get("DICOM_NODE_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
    / "data" / "dicom" / "good"
)  # fmt: skip
_UID = re.compile(r"[0-9.]{1,64}")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True)
class Sendable:
    """A file as a sender has it: its data set as it is, behind a file meta information that fits it."""

    path: Path
    #: What follows the file meta information.
    dataset: bytes
    #: The UIDs an object is filed under that it lacks, or has as something else than digits and dots.
    missing: tuple[str, ...]
    sop_class_uid: str


def good_files() -> list[Path]:
    """All files of the corpus that have a file meta information; skips the test where there is none."""
    if not GOOD.is_dir():
        pytest.skip(f"no corpus: {GOOD} does not exist; set DICOM_NODE_SHARED to the folder that has data/")
    return [path for path in sorted(GOOD.rglob("*")) if path.is_file() and _has_meta(path)]


def sendable(path: Path, folder: Path) -> Sendable:
    """A copy of the file in `folder`. A file meta information that names another object than its data set is mended."""
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", *_UIDS])
    missing = tuple(keyword for keyword in _UIDS if not _UID.fullmatch(str(header.get(keyword) or "")))
    dataset, copy = dataset_bytes(path), folder / f"{path.parent.name}-{path.name}"
    copy.write_bytes(path.read_bytes() if "SOPInstanceUID" in missing else _header_of(header) + dataset)
    return Sendable(copy, dataset, missing, str(header.SOPClassUID))


def _has_meta(path: Path) -> bool:
    try:
        return bool(read_file_meta_info(path).get("TransferSyntaxUID"))
    except InvalidDicomError:
        return False


def _header_of(header: Dataset) -> bytes:
    uids = (header.SOPClassUID, header.SOPInstanceUID, header.file_meta.TransferSyntaxUID)
    return file_meta_of(*map(str, uids))
