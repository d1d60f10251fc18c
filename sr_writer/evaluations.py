"""Qualitative evaluations of the report: what each stage answered, and, just as plainly, what it did not do and why.

They stand in a container of their own below the root (TID 1500), never in a measurement group, because they have no
coordinates. Found, looked for and absent, not done: three different answers, never one for another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.config import IGNORE
from pydicom.sr.coding import Code
from pydicom.uid import UID

from inference.findings import Analysis, Classification, Exclusion, HeaderCheck, Outcome, StageRun, Task
from sr_writer import codes, wording
from sr_writer.described import DescribedVolume
from sr_writer.groups import algorithm_identification
from sr_writer.inheritance import lacks_thickness
from sr_writer.provenance import Predecessor, Provenance, named

LOST = "could not be read. What they show is not known; absent means absent from the others."
NOTHING_TO_ANALYSE = "No image of this study could be analysed."

_CONTAINS = RelationshipTypeValues.CONTAINS
_MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD
_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES

#: (whether every stage is complete, whether something was found) to the summary (CID 6047).
_SUMMARIES: Mapping[tuple[bool, bool], Code] = {
    (True, True): codes.ALL_SUCCEEDED_WITH_FINDINGS,
    (True, False): codes.ALL_SUCCEEDED_WITHOUT_FINDINGS,
    (False, True): codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS,
    (False, False): codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS,
}
_REFUSALS: Mapping[Outcome, Code] = {Outcome.NOT_ATTEMPTED: codes.NOT_ATTEMPTED, Outcome.FAILED: codes.FAILED}


def evaluations(
    analysis: Analysis, volumes: Sequence[DescribedVolume], provenance: Provenance, predecessor: Predecessor | None
) -> ContainerContentItem:
    """The container (C0034375, UMLS, "Qualitative Evaluations")."""
    container = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    items: list[ContentItem] = [
        TextContentItem(codes.COMMENT, wording.RESEARCH_USE_ONLY, _CONTAINS),
        CodeContentItem(codes.SUMMARY, _summary(analysis), _CONTAINS),
    ]
    lost = sum(exclusion.is_loss for exclusion in analysis.exclusions)
    if lost:
        items.append(TextContentItem(codes.COMMENT, f"{lost} instances {LOST}", _CONTAINS))
    if not analysis.runs:
        items.append(TextContentItem(codes.COMMENT, NOTHING_TO_ANALYSE, _CONTAINS))
    # in words first: viewers that know no templates show what a text says, and of a code its meaning without its name
    items.extend(TextContentItem(codes.COMMENT, each, _CONTAINS) for each in _sentences(volumes))
    items.extend(_evaluation(run, described) for described in volumes for run in described.runs)
    items.extend(item for described in volumes for item in _quality(described))
    items.extend(_exclusions(analysis.exclusions))
    items.extend(_repairs(volumes, provenance))
    if predecessor is not None:
        items.extend(TextContentItem(codes.CHANGE, change, _CONTAINS) for change in predecessor.changes)
    container.ContentSequence = ContentSequence(items)
    return container


def _sentences(volumes: Sequence[DescribedVolume]) -> Iterator[str]:
    """What each stage answered, volume by volume, named where there are several."""
    for described in volumes:
        place = f"Volume {described.number}, " if len(volumes) > 1 else ""
        yield from (f"{place}{wording.stage(run)}." for run in described.runs)


def _summary(analysis: Analysis) -> Code:
    if not any(run.outcome is Outcome.COMPLETE for run in analysis.runs):
        return codes.NONE_SUCCEEDED
    found = any(run.segments or run.regions for run in analysis.runs)
    return _SUMMARIES[analysis.outcome is Outcome.COMPLETE, found]


def _evaluation(run: StageRun, described: DescribedVolume) -> CodeContentItem:
    """One stage on one volume: question and answer, with stage, algorithm and series, score or reason below."""
    question, answer = _answer(run)
    item = CodeContentItem(question, answer, _CONTAINS)
    children = ContentSequence([TextContentItem(codes.STAGE, run.stage, _MODIFIER)])
    if run.algorithm is not None:
        children.extend(algorithm_identification(named(run.algorithm)))
    children.append(UIDRefContentItem(codes.SERIES_INSTANCE_UID, described.volume.series_instance_uid, _PROPERTY))
    if run.reason:
        children.append(TextContentItem(codes.REASON, run.reason, _PROPERTY))
    if run.classification is not None:
        children.append(_score(run.classification))
        children.extend(list(_images(described, run.classification.slices)))
    if run.header is not None:
        children.append(TextContentItem(codes.HEADER, _in_words(run.header), _PROPERTY))
    item.ContentSequence = children
    return item


def _score(answer: Classification) -> NumContentItem:
    item = NumContentItem(codes.SCORE, round(answer.score, 4), codes.NO_UNITS, relationship_type=_PROPERTY)
    method = CodeContentItem(codes.MEASUREMENT_METHOD, codes.SOFTMAX, _MODIFIER)
    item.ContentSequence = ContentSequence([method])
    return item


def _in_words(header: HeaderCheck) -> str:
    stated = f"states {header.stated}" if header.stated else "states nothing"
    return f"{header.agreement}: the header {stated}"


def _quality(described: DescribedVolume) -> Iterator[TextContentItem]:
    """One item per defect, with the series below it."""
    for flag in described.quality:
        consequence = "not analysed" if flag.refused else "analysed all the same"
        item = TextContentItem(codes.IMAGE_QUALITY, f"{flag.text} ({consequence})", _CONTAINS)
        series = UIDRefContentItem(codes.SERIES_INSTANCE_UID, described.volume.series_instance_uid, _PROPERTY)
        item.ContentSequence = ContentSequence([series])
        yield item


def _repairs(volumes: Sequence[DescribedVolume], provenance: Provenance) -> Iterator[TextContentItem]:
    """What of the images breaks the standard, and what became of it in the results."""
    for repair in provenance.repairs:
        yield TextContentItem(codes.REPAIR, repair, _CONTAINS)
    for described in volumes:
        for text in _geometry_repairs(described):
            item = TextContentItem(codes.REPAIR, text, _CONTAINS)
            series = UIDRefContentItem(codes.SERIES_INSTANCE_UID, described.volume.series_instance_uid, _PROPERTY)
            item.ContentSequence = ContentSequence([series])
            yield item


def _geometry_repairs(described: DescribedVolume) -> Iterator[str]:
    if described.volume.affine is None:
        return
    if not described.states_frame_of_reference:
        yield "Frame of Reference UID is absent or no UID; results have one that is derived from the series"
    if described.segments and any(lacks_thickness(header) for header in described.headers):
        yield "Slice Thickness is absent or no number; a segmentation has the distance between slices instead"


def _answer(run: StageRun) -> tuple[Code, Code]:
    """(question, answer) of a stage run."""
    if run.outcome is not Outcome.COMPLETE:
        is_classification = run.task is Task.CLASSIFICATION
        summary = codes.SUMMARY_OF_ANALYSES if is_classification else codes.SUMMARY_OF_DETECTIONS
        return summary, _REFUSALS[run.outcome]
    if run.classification is not None:
        return codes.question(run.stage), codes.answer(run.classification.label)
    return codes.finding(run.stage) or codes.FINDING, codes.ABSENT if run.found_nothing else codes.PRESENT


def _images(described: DescribedVolume, slices: Sequence[int]) -> Iterator[ImageContentItem]:
    """The frames that were looked at, one item per instance."""
    frames: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index in slices:
        frame = described.volume.frames[index]
        numbers = frames[frame.sop_class_uid, frame.sop_instance_uid]
        if frame.frame_number is not None:
            numbers.append(frame.frame_number)
    for (sop_class_uid, sop_instance_uid), numbers in frames.items():
        yield ImageContentItem(
            codes.SOURCE,
            referenced_sop_class_uid=sop_class_uid,
            referenced_sop_instance_uid=sop_instance_uid,
            referenced_frame_numbers=numbers or None,
            relationship_type=RelationshipTypeValues.INFERRED_FROM,
        )


def _exclusions(exclusions: Sequence[Exclusion]) -> Iterator[TextContentItem]:
    """One item per reason and series, with the instances below it by UID: not all of them are images."""
    groups: dict[tuple[str, str], list[Exclusion]] = defaultdict(list)
    for exclusion in exclusions:
        groups[exclusion.series_instance_uid, exclusion.reason].append(exclusion)
    for (series_instance_uid, reason), members in groups.items():
        item = TextContentItem(codes.NOT_ANALYSED, f"{len(members)}: {reason}", _CONTAINS)
        uids = [(codes.SERIES_INSTANCE_UID, series_instance_uid)]
        uids.extend((codes.INSTANCE_NOT_ANALYSED, member.sop_instance_uid) for member in members)
        children = [UIDRefContentItem(name, uid, _PROPERTY) for name, uid in uids if _is_uid(uid)]
        if children:
            item.ContentSequence = ContentSequence(children)
        yield item


def _is_uid(text: str) -> bool:
    """Whether an unreadable instance left a UID at all."""
    return bool(text) and UID(text, IGNORE).is_valid
