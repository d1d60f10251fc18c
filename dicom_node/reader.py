"""Files of one study to Volumes, and for everything that does not become one the reason; never raises over a file."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.decoding import read_header
from dicom_node.discretion import is_uid
from dicom_node.domain.errors import ReadError
from dicom_node.frames import numbers
from dicom_node.headers import Header
from dicom_node.scratch import IN_MEMORY, Scratch
from dicom_node.selection import (
    NO_MAJORITY,
    OTHER_PATIENT,
    belong_to_study_patient,
    is_image,
    reasons_to_leave_out,
)
from dicom_node.series import Source, volumes_of_series
from dicom_node.unreadable import reasoned, silent
from dicom_node.usable_headers import UsableHeaders
from inference.findings import Exclusion
from inference.volume import Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a study is read."""

    #: Secondary captures are screenshots more often than pictures of the patient.
    secondary_capture: Literal["ignore", "analyse"] = "ignore"
    #: How many files are decoded at a time.
    threads: int = 1
    #: Where the pixels of a large study are kept while it is analysed; None: where the system has its temporary files.
    scratch: Path | None = None
    #: What a study's pixels may take in memory, in bytes, before they go there.
    in_memory: int = IN_MEMORY
    #: Whether the log says what is left out.
    tells: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStudy:
    """What the files of one study hold: every instance is in a volume or has an exclusion."""

    volumes: tuple[Volume, ...]
    exclusions: tuple[Exclusion, ...]
    #: SOP Instance UID -> header without pixels, with its file meta information, of every image of the study's patient.
    headers: Mapping[str, Dataset]


def load_study(study_instance_uid: str, paths: Sequence[Path], settings: LoadSettings) -> LoadedStudy:
    """Read the files of one study; the result does not depend on the order of `paths`.

    Nothing about a file raises: what is unreadable, of another patient, or not worth analysing is an Exclusion that
    says why. When no patient has more than half of the images, nothing is analysed and `headers` is empty.
    Raises StoreError when there is no room for the pixels of a study too large for memory.
    """
    with silent():
        sources, exclusions = _read_headers(study_instance_uid, paths)
    ours, strangers = _of_one_patient(sources)
    chosen, left_out = _choose(ours, settings)
    volumes, scratch = list[Volume](), Scratch(settings.scratch, settings.in_memory)
    for series in _by_series(chosen):
        found, unstackable = volumes_of_series(series, scratch, settings.threads)
        volumes += found
        left_out += unstackable
    exclusions += strangers + left_out
    for exclusion in exclusions if settings.tells else ():
        logger.info(
            "instance %s is not analysed: it %s",
            exclusion.sop_instance_uid,
            exclusion.reason,
            extra={"action": "instance_excluded"},
        )
    headers = {source.sop_instance_uid: source.header for source in ours if is_image(source.header)}
    return LoadedStudy(tuple(volumes), tuple(exclusions), UsableHeaders(headers))


def _read_headers(study_instance_uid: str, paths: Sequence[Path]) -> tuple[list[Source], list[Exclusion]]:
    """Headers of the study's instances; files that are none of them excluded."""
    sources: dict[str, Source] = {}
    exclusions = []
    for path in sorted(paths):
        try:
            source = _read_header(path)
        except ReadError as error:
            exclusions.append(Exclusion(path.stem, "", "", str(error), is_loss=True))
            continue
        reason = _not_of_study(source, study_instance_uid)
        if reason is None and source.sop_instance_uid in sources:
            reason = "repeats the SOP Instance UID of another file of this study"
        if reason:
            exclusions.append(source.excluded(reason))
        else:
            sources[source.sop_instance_uid] = source
    return list(sources.values()), exclusions


def _read_header(path: Path) -> Source:
    with reasoned("cannot be parsed as a DICOM file"):
        try:
            encoded = read_header(path)
        except InvalidDicomError as error:
            raise ReadError("is not a DICOM file (PS3.10): it has no DICM prefix") from error
        header = encoded.header
        return Source(
            encoded,
            sop_instance_uid=_uid(header, "SOPInstanceUID"),
            sop_class_uid=_uid(header, "SOPClassUID"),
            series_instance_uid=_uid(header, "SeriesInstanceUID"),
            study_instance_uid=_uid(header, "StudyInstanceUID"),
        )


def _uid(header: Header, keyword: str) -> str:
    value = header.get(keyword)
    return str(value) if isinstance(value, str) and is_uid(value) else ""


def _not_of_study(source: Source, study_instance_uid: str) -> str | None:
    stated = {
        "SOP Instance UID (0008,0018)": source.sop_instance_uid,
        "SOP Class UID (0008,0016)": source.sop_class_uid,
        "Study Instance UID (0020,000D)": source.study_instance_uid,
        "Series Instance UID (0020,000E)": source.series_instance_uid,
    }
    missing = [name for name, uid in stated.items() if not uid]
    if missing:
        return f"does not readably state {', '.join(missing)}"
    if source.study_instance_uid != study_instance_uid:
        return "states the Study Instance UID of another study"
    return None


def _of_one_patient(sources: Sequence[Source]) -> tuple[list[Source], list[Exclusion]]:
    belongs = belong_to_study_patient([source.header for source in sources])
    ours = [source for source, is_ours in zip(sources, belongs, strict=True) if is_ours]
    reason = OTHER_PATIENT if ours else NO_MAJORITY
    strangers = [source.excluded(reason) for source, is_ours in zip(sources, belongs, strict=True) if not is_ours]
    return ours, strangers


def _choose(sources: Sequence[Source], settings: LoadSettings) -> tuple[list[Source], list[Exclusion]]:
    reasons = reasons_to_leave_out(
        [source.header for source in sources],
        analyse_secondary_captures=settings.secondary_capture == "analyse",
    )
    pairs = list(zip(sources, reasons, strict=True))
    return (
        [source for source, reason in pairs if reason is None],
        [source.excluded(reason) for source, reason in pairs if reason is not None],
    )


def _by_series(sources: Iterable[Source]) -> list[list[Source]]:
    """Sources of each series, series in the order of their numbers."""
    series: dict[tuple[float, str], list[Source]] = defaultdict(list)
    for source in sources:
        number = numbers(source.header.get("SeriesNumber"), 1)
        series[number[0] if number else 0.0, source.series_instance_uid].append(source)
    return [series[key] for key in sorted(series)]
