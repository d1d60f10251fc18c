"""What a result takes over from its source images: patient, study, place in the body; nothing is invented here."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_description, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import UID

from inference.findings import StageRun
from sr_writer import codes
from sr_writer.repairs import Mended, mend

logger = logging.getLogger(__name__)

#: Type 2 attributes of the Patient and General Study modules: a result has them, empty where the source has none.
REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
#: Further attributes of Patient (C.7.1.1), General Study (C.7.2.1), Patient Study (C.7.2.2) and Clinical Trial
#: Subject and Study (C.7.1.3, C.7.2.3), taken over where the source has them.
OPTIONAL = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientBirthTime",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "EthnicGroup",
    "PatientComments",
    "QualityControlSubject",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "PhysiciansOfRecord",
    "ConsultingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "ProcedureCodeSequence",
    "ReferencedStudySequence",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "SmokingStatus",
    "PregnancyStatus",
    "PatientState",
    "PatientSexNeutered",
    "AdditionalPatientHistory",
    "AdmissionID",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)
#: Everything that `inherit_patient_and_study` takes over as it is.
INHERITED = (*REQUIRED, *OPTIONAL)
#: What highdicom reads from a source image: identity, pixel grid, geometry, compression history.
_TECHNICAL = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
#: Identity, which stays what it is, and sequences, whose depths highdicom reads as they are.
_KEPT = frozenset({"SQ", "UI"})
_NUMBERS = frozenset({"DS", "IS", "US"})
#: What a result takes over besides patient and study; the report tells what became of these, too.
_CARRIED = (
    "BodyPartExamined",
    "PositionReferenceIndicator",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
)
_TECHNICAL_TAGS = frozenset(Tag(keyword) for keyword in _TECHNICAL)
_GROUPS = frozenset(Tag(keyword) for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"))
_EMPTY = tuple(DataElement(Tag(keyword), dictionary_VR(keyword), None) for keyword in REQUIRED)


def inherit_patient_and_study(result: Dataset, source: Dataset) -> None:
    """Make patient and study of `result` those of `source`, value for value after decoding; empty stays empty.

    What breaks the standard is mended or left empty, as `repairs_of` tells. The Study Instance UID is the study's
    identity and stays as it is.
    """
    result.StudyInstanceUID = source.StudyInstanceUID
    for keyword in INHERITED:
        if keyword in REQUIRED:
            setattr(result, keyword, None)
        element = mended(source, keyword).element
        if element is not None:
            result[keyword] = element


def repairs_of(source: Dataset) -> tuple[str, ...]:
    """What was done to patient, study and body part of `source` on their way into the results: a phrase each, with
    names of attributes and no values."""
    absent = tuple(
        f"{dictionary_description(keyword)} is absent and empty here" for keyword in REQUIRED if keyword not in source
    )
    repairs = (repair for keyword in (*INHERITED, *_CARRIED) for repair in mended(source, keyword).repairs)
    if not UID(str(source.StudyInstanceUID), IGNORE).is_valid:
        absent = ("Study Instance UID breaks the rules for UIDs and is kept, since it is the study's", *absent)
    return tuple(dict.fromkeys((*absent, *repairs)))


def mended(source: Dataset, keyword: str) -> Mended:
    """A legal copy of one element, free of the source's character set, and what was done to it."""
    element = element_of(source, keyword)
    if element is not None:
        return mend(element)
    name = dictionary_description(keyword)
    return Mended(None, (f"{name} cannot be read and is left out",) if keyword in source else ())


def inherit_body_part(result: Dataset, source: Dataset, runs: Iterable[StageRun]) -> None:
    """Body Part Examined (C.7.3.1) of the source; where the source names none, the classified region does."""
    element = mended(source, "BodyPartExamined").element
    region = classified_region(runs)
    if element is not None and not element.is_empty:
        result["BodyPartExamined"] = element
    elif region is not None:
        result.BodyPartExamined = region.body_part_examined


def side_of(source: Dataset) -> str:
    """R or L, where the source states one clear side of a series or an image; else empty."""
    sides = {str(source.get(keyword) or "") for keyword in ("Laterality", "ImageLaterality")} & {"R", "L"}
    return sides.pop() if len(sides) == 1 else ""


def inherit_laterality(result: Dataset, source: Dataset) -> None:
    """Laterality (C.7.3.1, Type 2C) where the source states one clear side of a series or an image.

    It is written empty, for unknown, where it is not known either whether the body part is a paired one.
    """
    side = side_of(source)
    if side:
        result.Laterality = side
    elif "BodyPartExamined" not in result:
        result.Laterality = None


def classified_region(runs: Iterable[StageRun]) -> codes.BodyRegion | None:
    """The part of the body that a classification stage saw."""
    labels = (run.classification.label.lower() for run in runs if run.classification is not None)
    return next((codes.REGIONS[label] for label in labels if label in codes.REGIONS), None)


def technical_copy(source: Dataset, *, with_groups: bool = True) -> Dataset:
    """The source as highdicom needs it and nothing more, functional groups, which are deep, only if asked for.

    Patient and study are left empty, because highdicom refuses values that occur in practice; the result takes them
    over itself.
    """
    stub = Dataset()
    for element in _EMPTY:
        stub.add(copy.copy(element))
    for tag in (_TECHNICAL_TAGS if with_groups else _TECHNICAL_TAGS - _GROUPS) & source.keys():
        found = element_of(source, keyword_for_tag(tag))
        if found is not None and found.VR not in _KEPT:
            found = mend(found).element if found.VR not in _NUMBERS else _if_numbers(found)
        if found is not None and not found.is_empty:
            stub[tag] = found
    return stub


def _if_numbers(element: DataElement) -> DataElement | None:
    """None for what pydicom could not read as numbers and left as text."""
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return None if any(isinstance(value, str) for value in values) else element


def numbers_of(source: Dataset, keyword: str) -> tuple[float, ...]:
    """The values of a numeric attribute; none where it is absent, empty, or no number."""
    element = element_of(source, keyword)
    if element is None or element.is_empty or _if_numbers(element) is None:
        return ()
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return tuple(float(value) for value in values)


def lacks_thickness(source: Dataset) -> bool:
    """Whether a single-frame image states no Slice Thickness (0018,0050), which is Type 2."""
    return "PerFrameFunctionalGroupsSequence" not in source and not numbers_of(source, "SliceThickness")


def stated_frame_of_reference(source: Dataset) -> str:
    """Frame of Reference UID (0020,0052), empty where the source states none that is a UID."""
    stated = str(source.get("FrameOfReferenceUID") or "")
    return stated if UID(stated, IGNORE).is_valid else ""


def element_of(source: Dataset, keyword: str) -> DataElement | None:
    """A decoded copy of one element, free of the source's character set; None when absent or unreadable."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in source:
        return None
    try:
        if dictionary_VR(tag) != "SQ":
            return copy.copy(source[tag])  # values are never changed in place
        element = copy.deepcopy(source[tag])
        for item in element.value:
            _decode(item)
    except (ValueError, NotImplementedError, BytesLengthException):
        logger.warning(
            "Attribute %s of %s is unreadable and left out of the result.",
            keyword,
            source.get("SOPInstanceUID", "a sequence item"),
            extra={"action": "inherit"},
        )
        return None
    return element


def _decode(item: Dataset) -> None:
    """Decode the texts of a sequence item and forget which character set they came in."""
    item.decode()
    for dataset in (item, *(each for element in item.iterall() if element.VR == "SQ" for each in element.value)):
        if "SpecificCharacterSet" in dataset:
            del dataset.SpecificCharacterSet
