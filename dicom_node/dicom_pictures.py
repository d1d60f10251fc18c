"""A folder of DICOM files as a data set: a stack an example, labelled by what its header says.

It is registered as the layout `dicom`. Patients are told apart by a digest of their ID, which is written nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.files import files_under
from dicom_node.offline import find_studies
from dicom_node.reader import LoadSettings, load_study
from inference.datasets.example import Example, Layout, Stack, split_of
from inference.findings import Task
from inference.interpret import plane_of
from inference.volume import Volume

_MODALITIES = {"CT": "ct", "MR": "mr", "US": "us", "CR": "xr", "DX": "xr", "RG": "xr", "MG": "xr"}
_DIGITS = 16


def _examples(root: Path) -> Iterator[Example]:
    """Every stack of every study; its body part, lower case, is its region."""
    for study, paths in find_studies(root).studies.items():
        loaded = load_study(study, paths, LoadSettings(secondary_capture="analyse"))
        subject = _subject_of(paths[0])
        for volume in loaded.volumes:
            labels = {
                "modality": _MODALITIES.get(volume.stated.modality, ""),
                "region": volume.stated.body_part.lower(),
                "plane": plane_of(volume) or "",
                "source": root.name,
            }
            name = f"{volume.series_instance_uid} {volume.stack_number}"
            yield Example(name, subject, split_of(subject), labels, _pixels_of(volume))


def _pixels_of(volume: Volume) -> Callable[[], Stack]:
    return lambda: Stack(volume.pixels)


def _subject_of(path: Path) -> str:
    header = dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "StudyInstanceUID"])
    whose = str(header.get("PatientID", "") or header.get("StudyInstanceUID", ""))
    return hashlib.sha256(whose.encode()).hexdigest()[:_DIGITS]


def _is_at(root: Path) -> bool:
    """Whether the first file is a DICOM file."""
    first = next(iter(files_under(root)), None)
    if first is None:
        return False
    try:
        dcmread(first, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    except (InvalidDicomError, OSError):
        return False
    return True


LAYOUT = Layout("dicom", frozenset({Task.CLASSIFICATION}), _is_at, _examples)
