"""Rules for the report as a document: state, title, template, context, summary, evidence (TID 1500, C.17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sr.coding import Code

from sr_writer import codes
from sr_writer.checks.attributes import Module, code_of, is_empty, items, text
from sr_writer.checks.content import Item, content_items, root
from sr_writer.checks.measurements import MEASUREMENTS, groups
from sr_writer.checks.problem import Check, Sources

_DOCUMENT = Module(
    "sr-document",
    "SR Document General and SR Document Content (C.17.2, C.17.3)",
    (
        "InstanceNumber",
        "CompletionFlag",
        "VerificationFlag",
        "PreliminaryFlag",
        "ContentDate",
        "ContentTime",
        "ValueType",
        "ContinuityOfContent",
        "ConceptNameCodeSequence",
        "ContentSequence",
    ),
    ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"),
)
_EVIDENCE = Module(
    "evidence",
    "the Hierarchical SOP Instance Reference Macro (Table C.17-3)",
    tuple(
        f"CurrentRequestedProcedureEvidenceSequence/{path}"
        for path in (
            "StudyInstanceUID",
            "ReferencedSeriesSequence",
            "ReferencedSeriesSequence/SeriesInstanceUID",
            "ReferencedSeriesSequence/ReferencedSOPSequence",
            "ReferencedSeriesSequence/ReferencedSOPSequence/ReferencedSOPClassUID",
            "ReferencedSeriesSequence/ReferencedSOPSequence/ReferencedSOPInstanceUID",
        )
    ),
)
_EVIDENCE_SEQUENCES = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
_ALL_SUCCEEDED = (codes.ALL_SUCCEEDED_WITHOUT_FINDINGS.value, codes.ALL_SUCCEEDED_WITH_FINDINGS.value)
_WITH_FINDINGS = (codes.ALL_SUCCEEDED_WITH_FINDINGS.value, codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS.value)
_UNFINISHED = (codes.NOT_ATTEMPTED.value, codes.FAILED.value)
_MODIFIER, _CONTEXT, _CONTAINS = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS"

#: Observers (TID 1004) and the attributes of contributing equipment that they repeat.
_OBSERVED = (
    (codes.DEVICE_OBSERVER_UID, "UID", "DeviceUID"),
    (codes.DEVICE_OBSERVER_MANUFACTURER, "TextValue", "Manufacturer"),
    (codes.DEVICE_OBSERVER_MODEL_NAME, "TextValue", "ManufacturerModelName"),
)
#: Rows of TID 1500 that stand directly below the root: check, concept, value type, relationship.
_ROWS = (
    ("report-language", codes.LANGUAGE, "CODE", _MODIFIER),
    ("observer-type", codes.OBSERVER_TYPE, "CODE", _CONTEXT),
    ("observer-uid", codes.DEVICE_OBSERVER_UID, "UIDREF", _CONTEXT),
    ("procedure-reported", codes.PROCEDURE_REPORTED, "CODE", _MODIFIER),
)


def _row(name: str, concept: Code, value_type: str, relationship: str) -> Check:
    def find(dataset: Dataset, _: Sources) -> Iterator[str]:
        if not root(dataset).children(concept, value_type, relationship):
            yield f"there is no {value_type} {concept.meaning} ({concept.value}) below the root by {relationship}"

    return Check(name, find)


def _state(dataset: Dataset, _: Sources) -> Iterator[str]:
    if text(dataset, "VerificationFlag") != "UNVERIFIED" or not is_empty(dataset, "VerifyingObserverSequence"):
        yield "VerificationFlag is not UNVERIFIED; only a named person verifies a report (C.17.2)"
    if text(dataset, "PreliminaryFlag") != "PRELIMINARY":
        yield "PreliminaryFlag is not PRELIMINARY; what no person has read is not final"


def _title(dataset: Dataset, _: Sources) -> Iterator[str]:
    measured = bool(list(groups(dataset)))
    title = codes.REPORT_TITLE if measured else codes.TITLE_WITHOUT_MEASUREMENTS
    if root(dataset).is_a(title) and root(dataset).value_type == "CONTAINER":
        return
    if measured:
        yield "the root is no CONTAINER Imaging Measurement Report (126000); viewers show any other as plain text"
    else:
        yield "a report without measurements is titled as if it had some; OHIF goes black where it looks for the first"


def _template(dataset: Dataset, _: Sources) -> Iterator[str]:
    found = [(text(item, "MappingResource"), text(item, "TemplateIdentifier")) for item in _templates(dataset)]
    if found != [("DCMR", "1500")]:
        yield "ContentTemplateSequence of the root does not say DCMR 1500, by which readers know it (C.18.8)"


def _templates(dataset: Dataset) -> Iterator[Dataset]:
    yield from dataset.get("ContentTemplateSequence") or ()


def _observers(dataset: Dataset, _: Sources) -> Iterator[str]:
    """IHE AIR Table 6.5.3.1-1: what contributed also observed, under the same names."""
    top = root(dataset)
    if len(top.children(codes.OBSERVER_TYPE)) != len(top.children(codes.DEVICE_OBSERVER_UID)):
        yield "there are not as many observer types (121005) as device observers (121012)"
    for concept, value, keyword in _OBSERVED:
        told = Counter(text(each.dataset, value) for each in top.children(concept))
        if Counter(text(item, keyword) for item in items(dataset, "ContributingEquipmentSequence")) - told:
            yield f"{keyword} of a contributing equipment is that of no observer ({concept.value}; IHE AIR 6.5.3.1-1)"


def _has_content(dataset: Dataset, _: Sources) -> Iterator[str]:
    parts = (codes.IMAGING_MEASUREMENTS, codes.QUALITATIVE_EVALUATIONS)
    found = [each for part in parts for each in root(dataset).children(part, "CONTAINER", _CONTAINS)]
    if not any(each.children() for each in found):
        yield "there are neither measurements nor qualitative evaluations; TID 1500 wants one of them, with content"


def _evaluations(dataset: Dataset) -> list[Item]:
    containers = root(dataset).children(codes.QUALITATIVE_EVALUATIONS, "CONTAINER")
    return [each for container in containers for each in container.children()]


def _research_statement(dataset: Dataset, _: Sources) -> Iterator[str]:
    comments = (each for each in _evaluations(dataset) if each.is_a(codes.COMMENT))
    if not any("research use only" in text(each.dataset, "TextValue").lower() for each in comments):
        yield "no comment among the evaluations says that the report is for research use only"


def _summary(dataset: Dataset, _: Sources) -> Iterator[str]:
    if len([each for each in _evaluations(dataset) if each.is_a(codes.SUMMARY)]) != 1:
        yield "there is not exactly one summary (111017) of how the analysis ended (CID 6047)"


def _completion(dataset: Dataset, _: Sources) -> Iterator[str]:
    """Complete is what all algorithms completed; anything else says why in words."""
    complete = text(dataset, "CompletionFlag") == "COMPLETE"
    for each in _evaluations(dataset):
        succeeded = code_of(each.dataset, "ConceptCodeSequence")[0] in _ALL_SUCCEEDED
        if each.is_a(codes.SUMMARY) and succeeded != complete:
            yield "CompletionFlag and the summary of the analysis (111017) contradict each other"
    if not complete and is_empty(dataset, "CompletionFlagDescription"):
        yield "CompletionFlag is not COMPLETE, and CompletionFlagDescription does not say why (C.17.2)"


def _findings_agree(dataset: Dataset, _: Sources) -> Iterator[str]:
    for each in _evaluations(dataset):
        found = code_of(each.dataset, "ConceptCodeSequence")[0] in _WITH_FINDINGS
        if each.is_a(codes.SUMMARY) and found != bool(groups(dataset)):
            yield "the summary of the analysis (111017) and the measurement groups disagree on findings"


def _reasons(dataset: Dataset, _: Sources) -> Iterator[str]:
    for each in _evaluations(dataset):
        unfinished = code_of(each.dataset, "ConceptCodeSequence")[0] in _UNFINISHED
        if unfinished and not each.children(codes.REASON, "TEXT"):
            yield f"content item {each.position} says that a stage did not finish, and not why"


def _answer_context(dataset: Dataset, _: Sources) -> Iterator[str]:
    for each in _evaluations(dataset):
        if each.value_type != "CODE" or each.is_a(codes.SUMMARY):
            continue
        for concept, value_type in ((codes.STAGE, "TEXT"), (codes.SERIES_INSTANCE_UID, "UIDREF")):
            if not each.children(concept, value_type):
                yield f"content item {each.position} is an answer without its {concept.meaning}"
        if code_of(each.dataset, "ConceptCodeSequence")[0] in _UNFINISHED:
            continue
        for concept in (codes.ALGORITHM_NAME, codes.ALGORITHM_VERSION):
            if not each.children(concept, "TEXT", _MODIFIER):
                yield f"content item {each.position} is an answer without its {concept.meaning} (TID 4019)"


def _evidence(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _EVIDENCE.check().find(dataset, sources)
    listed = {
        text(item, "ReferencedSOPInstanceUID")
        for sequence in _EVIDENCE_SEQUENCES
        for item in items(dataset, f"{sequence}/ReferencedSeriesSequence/ReferencedSOPSequence")
    }
    for item in root(dataset).descendants():
        if any(text(each, "ReferencedSOPInstanceUID") not in listed for each in item.references()):
            yield f"content item {item.position} refers to an object that the evidence sequences do not list (C.17.2.3)"


REPORT: tuple[Check, ...] = (
    _DOCUMENT.check(),
    Check("document-state", _state),
    Check("report-title", _title),
    Check("content-template", _template),
    Check("report-content", _has_content),
    *(_row(*row) for row in _ROWS),
    Check("observers", _observers),
    Check("research-statement", _research_statement),
    Check("analysis-summary", _summary),
    Check("completion-outcome", _completion),
    Check("findings-agree", _findings_agree),
    Check("refusal-reason", _reasons),
    Check("answer-context", _answer_context),
    Check("evidence", _evidence),
    Check("content-items", content_items),
    *MEASUREMENTS,
)
