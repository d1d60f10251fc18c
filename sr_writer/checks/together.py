"""Rules between the objects of one study: they belong together, and a lesion has one name in all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from pydicom import Dataset

from sr_writer.checks.attributes import items, text
from sr_writer.checks.content import root
from sr_writer.checks.measurements import groups, tracking
from sr_writer.checks.problem import Problem

_Finder = Callable[[Sequence[Dataset]], Iterator[str]]
_TRACKED = (
    ("SEG", "SegmentSequence"),
    ("PR", "GraphicAnnotationSequence/GraphicObjectSequence"),
)


def check_together(results: Sequence[Dataset]) -> tuple[Problem, ...]:
    """Problems between result objects, study by study; images of the study may not be among them."""
    studies: dict[str, list[Dataset]] = defaultdict(list)
    for result in results:
        studies[text(result, "StudyInstanceUID")].append(result)
    return tuple(
        Problem(name, sentence) for study in studies.values() for name, find in _TOGETHER for sentence in find(study)
    )


def _of(results: Sequence[Dataset], modality: str) -> list[Dataset]:
    return [result for result in results if text(result, "Modality") == modality]


def _one_patient(results: Sequence[Dataset]) -> Iterator[str]:
    for keyword in ("PatientID", "PatientName", "IssuerOfPatientID", "PatientBirthDate"):
        if len({text(result, keyword) for result in results}) > 1:
            yield f"{keyword} differs between objects of one study"


def _series_of_one_kind(results: Sequence[Dataset]) -> Iterator[str]:
    kinds: dict[str, set[str]] = defaultdict(set)
    for result in results:
        kinds[text(result, "SeriesInstanceUID")].add(text(result, "SOPClassUID"))
    if any(len(each) > 1 for each in kinds.values()):
        yield "one series holds objects of different kinds"
    if len({text(result, "SOPInstanceUID") for result in results}) < len(results):
        yield "two objects have the same SOPInstanceUID"


def _report_beside(results: Sequence[Dataset]) -> Iterator[str]:
    if results and not _of(results, "SR"):
        yield "there are results without a report; what is drawn only repeats what a report says (IHE AIR 6.5.3)"


def _tracking(results: Sequence[Dataset]) -> Iterator[str]:
    reports = _of(results, "SR")
    if not reports:
        return
    told = {tracking(group) for report in reports for group in groups(report)}
    for modality, path in _TRACKED:
        for result in _of(results, modality):
            pairs = {(text(item, "TrackingID"), text(item, "TrackingUID")) for item in items(result, path)}
            if not pairs <= told:
                yield f"a {modality} names a finding that no report has under the same tracking identifier and UID"


def _segments_referenced(results: Sequence[Dataset]) -> Iterator[str]:
    reports = _of(results, "SR")
    references = [each for report in reports for item in root(report).descendants() for each in item.references()]
    used = {(text(each, "ReferencedSOPInstanceUID"), text(each, "ReferencedSegmentNumber")) for each in references}
    segments = {
        (text(result, "SOPInstanceUID"), text(item, "SegmentNumber"))
        for result in _of(results, "SEG")
        for item in items(result, "SegmentSequence")
    }
    if reports and segments - used:
        yield "there is a segment to which no report refers (TID 1411)"
    if segments and {each for each in used if each[1]} - segments:
        yield "a report refers to a segment that is not among the results"


_TOGETHER: tuple[tuple[str, _Finder], ...] = (
    ("one-patient", _one_patient),
    ("series-of-one-kind", _series_of_one_kind),
    ("report-beside", _report_beside),
    ("tracking-across-objects", _tracking),
    ("segments-in-report", _segments_referenced),
)
