"""`dicom-node analyze`: the studies in a folder through the same engine, results as files; no network, no database."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.domain.errors import CannotUnderstand, ReadError
from dicom_node.files import files_under
from dicom_node.heat_pictures import save_heat_maps
from dicom_node.pipeline import Engine, analyse_study
from dicom_node.spool import checked_uid
from dicom_node.summary import StudySummary, summarise
from dicom_node.unreadable import explained


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Files sorted by what study they are of, and those that are of none, with the reason."""

    studies: Mapping[str, tuple[Path, ...]]
    refused: Mapping[Path, str]


@dataclass(frozen=True, slots=True)
class AnalysedFolder:
    """One study of a folder: what was seen and found, and the result objects written."""

    summary: StudySummary
    results: tuple[Path, ...]
    #: Pictures of why, if they were asked for.
    heat_maps: tuple[Path, ...] = ()


def find_studies(path: Path) -> FoundFiles:
    """Every file under `path` (or the one it is) by its Study Instance UID."""
    studies: dict[str, list[Path]] = defaultdict(list)
    refused: dict[Path, str] = {}
    for file in files_under(path):
        try:
            studies[_study_of(file)].append(file)
        except (ReadError, CannotUnderstand) as error:
            refused[file] = str(error)
    return FoundFiles({uid: tuple(found) for uid, found in studies.items()}, refused)


def _study_of(file: Path) -> str:
    with explained("cannot be parsed as a DICOM file"):
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        except InvalidDicomError as error:
            raise ReadError("is not a DICOM file (PS3.10): it has no DICM prefix") from error
        uid = str(header.get("StudyInstanceUID", ""))
    return checked_uid(uid, "Study Instance UID")


def analyse_folder(found: FoundFiles, engine: Engine, out: Path) -> Iterator[AnalysedFolder]:
    """Analyse study after study, each yielded when its results are in `out`/<study>/; at the end write summary.json."""
    done = []
    for study, paths in found.studies.items():
        analysed = analyse_study(study, paths, engine, datetime.datetime.now().astimezone())
        folder = out / study
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for dataset in (each.dataset for each in analysed.objects):
            results.append(folder / f"{dataset.Modality}-{dataset.SOPInstanceUID}.dcm")
            dataset.save_as(results[-1], enforce_file_format=True)
        pictures = [
            picture
            for number, volume in enumerate(analysed.analysis.volumes, start=1)
            for picture in save_heat_maps(volume, number, folder)
        ]
        done.append(AnalysedFolder(summarise(analysed.analysis), tuple(results), tuple(pictures)))
        yield done[-1]
    _write_summary(done, found, out)


def _write_summary(done: list[AnalysedFolder], found: FoundFiles, out: Path) -> None:
    content = {
        "studies": [
            {
                **each.summary.model_dump(mode="json"),
                "results": [str(path.relative_to(out)) for path in each.results],
                "heat_maps": [str(path.relative_to(out)) for path in each.heat_maps],
            }
            for each in done
        ],
        "refused": {str(path): reason for path, reason in found.refused.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
