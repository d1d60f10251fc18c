"""The structured report (Comprehensive 3D SR or Comprehensive SR, TID 1500): made whatever the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.coding import Code

from inference.findings import Algorithm, Analysis, Outcome
from sr_writer import codes
from sr_writer.created import ROOT_TEMPLATE
from sr_writer.described import DescribedVolume
from sr_writer.evaluations import evaluations
from sr_writer.groups import measurement_groups
from sr_writer.inheritance import mended, technical_copy
from sr_writer.library import image_library
from sr_writer.profiles import Profile, ReportForm
from sr_writer.provenance import Predecessor, Provenance, derived_uid, device_uid, named, sign

_SERIES_NUMBER = 9000
_DOCUMENTS: Mapping[ReportForm, type[sr.Comprehensive3DSR | sr.ComprehensiveSR]] = {
    ReportForm.COMPREHENSIVE_3D: sr.Comprehensive3DSR,
    ReportForm.COMPREHENSIVE: sr.ComprehensiveSR,
}
_ENGLISH = sr.CodedConcept("en", "RFC5646", "English")
#: Attributes of a Referenced Request Sequence item (C.17.2, all Type 2) besides the study.
REQUEST = (
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)


def report(
    analysis: Analysis,
    volumes: Sequence[DescribedVolume],
    segmentations: Mapping[int, Dataset],
    provenance: Provenance,
    predecessor: Predecessor | None,
    profile: Profile,
) -> Dataset:
    """The SR of an analysis in the form that `profile` asks for; `segmentations` maps a volume's number to its SEG,
    `predecessor` is the report that this one stands beside."""
    sources = provenance.sources.values()
    content = _document(analysis, volumes, segmentations, provenance, predecessor)
    result = _DOCUMENTS[profile.report_form](
        evidence=[*(technical_copy(source) for source in sources), *segmentations.values()],
        content=_title_alone(content),
        series_instance_uid=provenance.uid("SR series", *_form(segmentations, predecessor, profile)),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=report_uid(segmentations, provenance, predecessor, profile),
        instance_number=1,
        manufacturer=provenance.equipment.manufacturer,
        is_complete=analysis.outcome is Outcome.COMPLETE,
        is_final=False,
        is_verified=False,
        coding_schemes=[codes.private_scheme(), *_schemes_of(_procedure(provenance.subject))],
    )
    result.ContentSequence = content.ContentSequence
    if analysis.outcome is not Outcome.COMPLETE:
        result.CompletionFlagDescription = f"Analysis {analysis.outcome}; reasons are in the report"
    sign(result, provenance, "AI findings - Research")
    if predecessor is not None:
        result.PredecessorDocumentsSequence = [_reference(predecessor, provenance.subject)]
    requests = _requests(provenance.subject)
    if requests:
        result.ReferencedRequestSequence = requests
    return result


def report_uid(
    segmentations: Mapping[int, Dataset], provenance: Provenance, predecessor: Predecessor | None, profile: Profile
) -> str:
    """SOP Instance UID of the report: another one in another form, or where it refers to other segmentations or another
    predecessor."""
    return provenance.uid("SR", *_form(segmentations, predecessor, profile))


def _form(segmentations: Mapping[int, Dataset], predecessor: Predecessor | None, profile: Profile) -> tuple[str, ...]:
    before = () if predecessor is None else ("after", predecessor.sop_instance_uid)
    return (*profile.report_settings, *(str(each.SOPInstanceUID) for each in segmentations.values()), *before)


def _title_alone(content: sr.ContainerContentItem) -> sr.ContainerContentItem:
    """The root with its first item only: highdicom would copy the whole and search it twice."""
    (name,) = content.ConceptNameCodeSequence
    root = sr.ContainerContentItem(name, template_id=ROOT_TEMPLATE)
    root.ContentSequence = sr.ContentSequence(content.ContentSequence[:1])
    return root


def _document(
    analysis: Analysis,
    volumes: Sequence[DescribedVolume],
    segmentations: Mapping[int, Dataset],
    provenance: Provenance,
    predecessor: Predecessor | None,
) -> sr.ContainerContentItem:
    """The content tree in the order of TID 1500."""
    groups = [group for each in volumes for group in measurement_groups(each, segmentations.get(each.number))]
    root = sr.ContainerContentItem(
        codes.REPORT_TITLE if groups else codes.TITLE_WITHOUT_MEASUREMENTS, template_id=ROOT_TEMPLATE
    )
    content = sr.ContentSequence(sr.LanguageOfContentItemAndDescendants(_ENGLISH))
    for observer in observers(provenance):
        content.extend(observer)
    content.append(
        sr.CodeContentItem(
            codes.PROCEDURE_REPORTED, _procedure(provenance.subject), sr.RelationshipTypeValues.HAS_CONCEPT_MOD
        )
    )
    if volumes:
        content.append(image_library(volumes))
    if groups:
        measurements = sr.ContainerContentItem(
            codes.IMAGING_MEASUREMENTS, relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
        measurements.ContentSequence = sr.ContentSequence([item for group in groups for item in group])
        content.append(measurements)
    content.append(evaluations(analysis, volumes, provenance, predecessor))
    root.ContentSequence = content
    return root


def observers(provenance: Provenance) -> list[sr.ObserverContext]:
    """Device observers (TID 1004): the algorithms (IHE AIR Table 6.5.3.1-1); where none ran, the node itself."""
    if provenance.algorithms:
        return [observer(algorithm) for algorithm in provenance.algorithms]
    equipment = provenance.equipment
    node = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("node", equipment.manufacturer, equipment.model_name, equipment.device_serial_number),
        name=equipment.ae_title,
        manufacturer_name=equipment.manufacturer,
        model_name=equipment.model_name,
        serial_number=equipment.device_serial_number,
    )
    return [sr.ObserverContext(codes.item(codes.DEVICE), node)]


def observer(algorithm: Algorithm) -> sr.ObserverContext:
    """An algorithm as device observer."""
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(algorithm),
        manufacturer_name=named(algorithm).manufacturer,
        model_name=named(algorithm).name,
    )
    return sr.ObserverContext(codes.item(codes.DEVICE), attributes)


def _reference(predecessor: Predecessor, subject: Dataset) -> Dataset:
    """Hierarchical SOP Instance Reference (Table C.17-3) of the earlier report."""
    document, series, study = Dataset(), Dataset(), Dataset()
    document.ReferencedSOPClassUID = predecessor.sop_class_uid
    document.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    series.SeriesInstanceUID = predecessor.series_instance_uid
    series.ReferencedSOPSequence = [document]
    study.StudyInstanceUID = subject.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study


def _procedure(subject: Dataset) -> Code:
    """The procedure code of the study, else what its modality tells (CID 100)."""
    for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
        element = mended(subject, keyword).element
        for item in () if element is None else element.value:
            parts = [str(item.get(part) or "") for part in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")]
            if all(parts):
                return Code(*parts)
    return codes.PROCEDURES.get(str(subject.get("Modality")), codes.IMAGING_PROCEDURE)


def _schemes_of(procedure: Code) -> list[CodingSchemeIdentificationItem]:
    """The declaration of a private scheme that the images' procedure code is of (PS3.16 section 8)."""
    designator = procedure.scheme_designator
    if not designator.startswith("99") or designator == codes.PRIVATE_SCHEME:
        return []
    return [CodingSchemeIdentificationItem(designator, "Private codes of the images")]


def _requests(subject: Dataset) -> list[Dataset]:
    """Referenced Request Sequence (0040,A370) from the request attributes of the images."""
    items = []
    for request in subject.get("RequestAttributesSequence") or ():
        item = Dataset()
        item.StudyInstanceUID = request.get("StudyInstanceUID") or subject.StudyInstanceUID
        item.ReferencedStudySequence = []
        for keyword in REQUEST:
            element = mended(request, keyword).element
            setattr(item, keyword, None)
            if element is not None:
                item[keyword] = element
        items.append(item)
    return items
