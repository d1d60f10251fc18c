"""Files of one study to Volumes, and for everything that does not become one the reason; never raises over a file."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.decoding import Picture, assemble, decode, refuse_unreadable
from dicom_node.discretion import is_uid, names_patient
from dicom_node.domain.errors import ReadError
from dicom_node.frames import frame_headers, is_slice_without_place, numbers, stack_frames
from dicom_node.selection import (
    NO_MAJORITY,
    OTHER_PATIENT,
    belong_to_study_patient,
    is_image,
    reasons_to_leave_out,
)
from dicom_node.stacks import Stack, StackFrame, split_into_stacks
from dicom_node.unreadable import UNREADABLE, explained
from inference.findings import Exclusion
from inference.volume import FrameReference, Stated, Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a study is read."""

    #: Secondary captures are screenshots more often than pictures of the patient.
    secondary_capture: Literal["ignore", "analyse"] = "ignore"
    #: Whether the log says what is left out.
    tells: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStudy:
    """What the files of one study hold: every instance is in a volume or has an exclusion."""

    volumes: tuple[Volume, ...]
    exclusions: tuple[Exclusion, ...]
    #: SOP Instance UID -> header without pixels, with its file meta information, of every image of the study's patient.
    headers: Mapping[str, Dataset]


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """One parsed file."""

    path: Path
    header: Dataset
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str

    def excluded(self, reason: str, *, is_loss: bool = False) -> Exclusion:
        uid = self.sop_instance_uid or self.path.stem
        return Exclusion(uid, self.sop_class_uid, self.series_instance_uid, reason, is_loss)


@dataclass(frozen=True, slots=True, eq=False)
class _Instance:
    """One decoded instance: its frames, and their pictures in the same order."""

    source: _Source
    frames: tuple[StackFrame, ...]
    pictures: tuple[Picture, ...]


def load_study(study_instance_uid: str, paths: Sequence[Path], settings: LoadSettings) -> LoadedStudy:
    """Read the files of one study; the result does not depend on the order of `paths`.

    Nothing about a file raises: what is unreadable, of another patient, or not worth analysing is an Exclusion that
    says why. When no patient has more than half of the images, nothing is analysed and `headers` is empty.
    """
    sources, exclusions = _read_headers(study_instance_uid, paths)
    ours, strangers = _of_one_patient(sources)
    chosen, left_out = _choose(ours, settings)
    volumes: list[Volume] = []
    for series in _by_series(chosen):
        instances, broken = _decode_series(series)
        found, unstackable = _volumes(study_instance_uid, instances)
        volumes += found
        left_out += broken + unstackable
    exclusions += strangers + left_out
    for exclusion in exclusions if settings.tells else ():
        logger.info(
            "instance %s is not analysed: it %s",
            exclusion.sop_instance_uid,
            exclusion.reason,
            extra={"action": "instance_excluded"},
        )
    headers = {source.sop_instance_uid: source.header for source in ours if is_image(source.header)}
    return LoadedStudy(tuple(volumes), tuple(exclusions), headers)


def _read_headers(study_instance_uid: str, paths: Sequence[Path]) -> tuple[list[_Source], list[Exclusion]]:
    """Headers of the study's instances; files that are none of them excluded."""
    sources: dict[str, _Source] = {}
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


def _read_header(path: Path) -> _Source:
    with explained("cannot be parsed as a DICOM file"):
        try:
            header = dcmread(path, stop_before_pixels=True)
        except InvalidDicomError as error:
            raise ReadError("is not a DICOM file (PS3.10): it has no DICM prefix") from error
        _drop_undecodable(header)
        return _Source(
            path,
            header,
            sop_instance_uid=_uid(header, "SOPInstanceUID"),
            sop_class_uid=_uid(header, "SOPClassUID"),
            series_instance_uid=_uid(header, "SeriesInstanceUID"),
            study_instance_uid=_uid(header, "StudyInstanceUID"),
        )


def _drop_undecodable(header: Dataset) -> None:
    """Convert every element now and take out those that cannot be, which pydicom would raise for at their first use."""
    for tag in list(header.keys()):
        try:
            element = header[tag]
        except UNREADABLE:
            del header[tag]
            continue
        if element.VR == "SQ":
            for item in element.value:
                _drop_undecodable(item)


def _uid(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return str(value) if isinstance(value, str) and is_uid(value) else ""


def _not_of_study(source: _Source, study_instance_uid: str) -> str | None:
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


def _of_one_patient(sources: Sequence[_Source]) -> tuple[list[_Source], list[Exclusion]]:
    belongs = belong_to_study_patient([source.header for source in sources])
    ours = [source for source, is_ours in zip(sources, belongs, strict=True) if is_ours]
    reason = OTHER_PATIENT if ours else NO_MAJORITY
    strangers = [source.excluded(reason) for source, is_ours in zip(sources, belongs, strict=True) if not is_ours]
    return ours, strangers


def _choose(sources: Sequence[_Source], settings: LoadSettings) -> tuple[list[_Source], list[Exclusion]]:
    reasons = reasons_to_leave_out(
        [source.header for source in sources],
        analyse_secondary_captures=settings.secondary_capture == "analyse",
    )
    pairs = list(zip(sources, reasons, strict=True))
    return (
        [source for source, reason in pairs if reason is None],
        [source.excluded(reason) for source, reason in pairs if reason is not None],
    )


def _by_series(sources: Iterable[_Source]) -> list[list[_Source]]:
    """Sources of each series, series in the order of their numbers."""
    series: dict[tuple[float, str], list[_Source]] = defaultdict(list)
    for source in sources:
        number = numbers(source.header.get("SeriesNumber"), 1)
        series[number[0] if number else 0.0, source.series_instance_uid].append(source)
    return [series[key] for key in sorted(series)]


def _decode_series(sources: Sequence[_Source]) -> tuple[list[_Instance], list[Exclusion]]:
    instances, exclusions = [], []
    for source in sources:
        try:
            instances.append(_decode_instance(source))
        except ReadError as error:
            exclusions.append(source.excluded(str(error), is_loss=True))
    if all(_lacks_place(instance) for instance in instances):
        return instances, exclusions
    placed = [instance for instance in instances if not _lacks_place(instance)]
    exclusions += [
        instance.source.excluded(
            "does not say where it lies (Image Position and Orientation (Patient)), as other images of its series do"
        )
        for instance in instances
        if _lacks_place(instance)
    ]
    return placed, exclusions


def _lacks_place(instance: _Instance) -> bool:
    return is_slice_without_place(instance.source.header, instance.frames[0])


def _decode_instance(source: _Source) -> _Instance:
    with explained("has attributes that cannot be made sense of"):
        refuse_unreadable(source.header)
        headers = frame_headers(source.header)
        frames = stack_frames(source.header, headers)
    with explained("has pixel data that cannot be decoded as its header says"):
        return _Instance(source, frames, decode(source.path, headers))


def _volumes(study_instance_uid: str, instances: Sequence[_Instance]) -> tuple[list[Volume], list[Exclusion]]:
    """The stacks of one series as volumes."""
    pictures = {
        frame.reference: picture
        for instance in instances
        for frame, picture in zip(instance.frames, instance.pictures, strict=True)
    }
    sources = {instance.source.sop_instance_uid: instance.source for instance in instances}
    volumes, exclusions = [], []
    for number, stack in enumerate(split_into_stacks([f for i in instances for f in i.frames]), start=1):
        source = sources[stack.frames[0].reference.sop_instance_uid]
        try:
            volumes.append(_volume(study_instance_uid, source, number, stack, pictures))
        except ReadError as error:
            uids = dict.fromkeys(frame.reference.sop_instance_uid for frame in stack.frames)
            exclusions += [sources[uid].excluded(str(error), is_loss=True) for uid in uids]
    return volumes, exclusions


def _told(header: Dataset, keyword: str) -> str:
    """What a header says of an image, as it may stand in a reason; where it names the patient it says nothing."""
    text = str(header.get(keyword) or "").strip()
    return "" if names_patient(text, header) else text


def _volume(
    study_instance_uid: str,
    source: _Source,
    number: int,
    stack: Stack,
    pictures: Mapping[FrameReference, Picture],
) -> Volume:
    grid = stack.frames[0].grid
    references = tuple(frame.reference for frame in stack.frames)
    with explained("is part of a stack too large for this machine's memory"):
        pixels, window = assemble([pictures[reference] for reference in references], grid.kind == "inverse grey")
    return Volume(
        study_instance_uid=study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        pixels=pixels,
        frames=references,
        affine=stack.affine,
        pixel_spacing_mm=grid.pixel_spacing_mm,
        slice_spacing_mm=stack.slice_spacing_mm,
        even_spacing=stack.even_spacing,
        window=window,
        stated=Stated(_told(source.header, "Modality"), _told(source.header, "BodyPartExamined").upper()),
        stack_number=number,
        stack_label=stack.label,
    )
