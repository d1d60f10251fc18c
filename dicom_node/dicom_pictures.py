"""A folder of DICOM files as a data set: a stack an example, labelled by what its header says.

It is registered as the layout `dicom`. Patients are told apart by a digest of their ID, which is written nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom.misc import is_dicom

from dicom_node.files import files_under
from dicom_node.offline import find_studies
from dicom_node.reader import LoadSettings, load_study
from inference.datasets.example import Example, Layout, Stack, Unreadable, split_of
from inference.findings import Task
from inference.interpret import plane_of
from inference.volume import Volume

_MODALITIES = {"CT": "ct", "MR": "mr", "US": "us", "CR": "xr", "DX": "xr", "RG": "xr", "MG": "xr"}
#: (Modality, Body Part Examined) -> region of the cascade; every other body part is a region of its own.
_REGIONS = {
    **{("mr", part): "brain" for part in ("HEAD", "SKULL")},
    **{("xr", part): "joint" for part in ("FOOT", "ANKLE", "KNEE", "HIP", "TOE")},
    **{("xr", part): "shoulder" for part in ("CLAVICLE", "SCAPULA")},
    **{("xr", part): "humerus" for part in ("ARM", "UPPERARM")},
    **{("xr", part): "forearm" for part in ("RADIUS", "ULNA")},
    ("xr", "THUMB"): "finger",
}
_DIGITS = 16
#: Of so many files, the first ones, at least one is a DICOM file in a folder of them.
_LOOKED_AT = 20


def _examples(root: Path) -> Iterator[Example]:
    """Every stack of every study, then every file that is of none; an image that is in no stack says why."""
    found = find_studies(root)
    for study, paths in found.studies.items():
        loaded = load_study(study, paths, LoadSettings(secondary_capture="analyse"))
        patient = next((str(header.get("PatientID") or "") for header in loaded.headers.values()), "")
        subject = hashlib.sha256((patient or study).encode()).hexdigest()[:_DIGITS]
        for volume in loaded.volumes:
            yield _stack(volume, subject, root.name)
        for exclusion in loaded.exclusions:
            if exclusion.sop_instance_uid in loaded.headers or not exclusion.sop_class_uid:
                yield _left_out(exclusion.sop_instance_uid, subject, exclusion.reason)
    for path, reason in found.refused.items():
        yield _left_out(str(path.relative_to(root)), "", reason)


def _stack(volume: Volume, subject: str, source: str) -> Example:
    modality, part = _MODALITIES.get(volume.stated.modality, ""), volume.stated.body_part
    labels = {
        "modality": modality,
        "region": _REGIONS.get((modality, part.upper()), part.lower()),
        "plane": plane_of(volume) or "",
        "source": source,
    }
    name = f"{volume.series_instance_uid} {volume.stack_number}"
    return Example(name, subject, split_of(subject), labels, lambda: Stack(np.asarray(volume.pixels)))


def _left_out(name: str, subject: str, reason: str) -> Example:
    def read() -> Stack:
        raise Unreadable(reason)

    return Example(name, subject, split_of(subject or name), {}, read)


def _is_at(root: Path) -> bool:
    return any(is_dicom(path) for path in islice(files_under(root), _LOOKED_AT))


LAYOUT = Layout("dicom", frozenset({Task.CLASSIFICATION}), _is_at, _examples)
