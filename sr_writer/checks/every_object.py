"""Rules for every result object: identity, patient and study, equipment, times, character set, research mark."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from sr_writer import codes
from sr_writer.checks.attributes import Module, code_of, is_empty, items, own_elements, text
from sr_writer.checks.problem import Check, Sources

SOP_COMMON = Module("sop-common", "SOP Common (C.12.1)", ("SOPClassUID", "SOPInstanceUID")).check()
_PATIENT_AND_STUDY = Module(
    "patient-and-study",
    "Patient and General Study (C.7.1.1, C.7.2.1)",
    ("StudyInstanceUID",),
    (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "ReferringPhysicianName",
        "StudyID",
        "AccessionNumber",
    ),
)
_SERIES = Module("series", "the series module", ("Modality", "SeriesInstanceUID", "SeriesNumber"))
_EQUIPMENT = Module(
    "equipment",
    "Enhanced General Equipment (C.7.5.2)",
    ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"),
)
_CONTRIBUTING = Module(
    "contributing-equipment",
    "Contributing Equipment as IHE AIR 6.5.3.1 asks for it",
    tuple(
        f"ContributingEquipmentSequence/{keyword}"
        for keyword in (
            "PurposeOfReferenceCodeSequence",
            "Manufacturer",
            "ManufacturerModelName",
            "SoftwareVersions",
            "DeviceUID",
        )
    ),
)
#: Times that come in pairs, where either is there.
_TIMES = ("InstanceCreation", "Series", "Content", "PresentationCreation")
#: Sequences of codes by another name.
_CODED = ("AnatomicRegionSequence",)
#: Sequences are looked into item by item; bulk data, tags and unknowns have no rule for their values.
_WITHOUT_RULES = frozenset(("SQ", "OB", "OW", "OB or OW", "UN", "AT", "OF", "OD"))


def _uids(dataset: Dataset, _: Sources) -> Iterator[str]:
    for path, element in own_elements(dataset):
        if element.VR == "UI" and not all(UID(str(value)).is_valid for value in _values(element)):
            yield f"{path} is no valid UID (PS3.5 section 9.1)"
    identities = [text(dataset, f"{level}InstanceUID") for level in ("Study", "Series", "SOP")]
    if len(set(identities)) != len(identities):
        yield "study, series and object do not have three different UIDs"


def _file_meta(dataset: Dataset, _: Sources) -> Iterator[str]:
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        yield "there is no file meta information (PS3.10 section 7.1)"
        return
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if text(meta, f"MediaStorage{keyword}") != text(dataset, keyword):
            yield f"MediaStorage{keyword} is not the object's {keyword} (PS3.10 section 7.1)"
    for keyword in ("TransferSyntaxUID", "ImplementationClassUID"):
        if is_empty(meta, keyword):
            yield f"{keyword} is missing from the file meta information (PS3.10 section 7.1)"


def _value_representations(dataset: Dataset, _: Sources) -> Iterator[str]:
    for path, element in own_elements(dataset):
        if element.VR in _WITHOUT_RULES:
            continue
        try:
            for value in _values(element):
                validate_value(element.VR, _as_written(element.VR, value), RAISE)
        except ValueError:  # its text quotes the value
            yield f"{path} breaks the rules of its value representation {element.VR} (PS3.5 section 6.2)"


def _values(element: DataElement) -> list[object]:
    if element.is_empty:
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _as_written(vr: str, value: object) -> object:
    """Numbers that pydicom converts, as the text that stands in the file."""
    return str(value) if vr in ("DS", "IS") else value


def _dates(dataset: Dataset, _: Sources) -> Iterator[str]:
    for kind in _TIMES:
        date, time = f"{kind}Date", f"{kind}Time"
        if is_empty(dataset, date) != is_empty(dataset, time):
            yield f"{date} and {time} belong together, and one of them is missing"
    for keyword in ("InstanceCreationDate", "SeriesDate"):
        if is_empty(dataset, keyword):
            yield f"{keyword} is missing; it is the start of the analysis (IHE AIR 6.5.3.1)"


def _character_set(dataset: Dataset, _: Sources) -> Iterator[str]:
    if text(dataset, "SpecificCharacterSet") != "ISO_IR 192":
        yield "SpecificCharacterSet is not ISO_IR 192 (UTF-8), in which the node writes everything"


def _research_mark(dataset: Dataset, _: Sources) -> Iterator[str]:
    if text(dataset, "ContentQualification") != "RESEARCH":
        yield "ContentQualification is not RESEARCH; the object does not say that it is for research only"
    if "research" not in text(dataset, "SeriesDescription").lower():
        yield "SeriesDescription does not say Research, which is all that some viewers show"


def _contributing(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _CONTRIBUTING.check().find(dataset, sources)
    equipment = dataset.get("ContributingEquipmentSequence") or ()
    for item in equipment:
        if code_of(item, "PurposeOfReferenceCodeSequence") != (codes.PROCESSING_EQUIPMENT.value, "DCM"):
            yield "a contributing equipment has another purpose than (109102, DCM, Processing Equipment)"
    if not equipment and text(dataset, "Modality") in ("SEG", "PR"):
        yield "ContributingEquipmentSequence is missing; what an algorithm drew names its algorithm (IHE AIR 6.5.3.1)"


def _algorithm_names(dataset: Dataset, _: Sources) -> Iterator[str]:
    equipment = items(dataset, "ContributingEquipmentSequence")
    known = {(text(item, "ManufacturerModelName"), text(item, "SoftwareVersions")) for item in equipment}
    if not set(_named_algorithms(dataset)) <= known:
        yield (
            "an algorithm is named whose name and version are those of no contributing equipment (IHE AIR 6.5.3.1-1)"
        )


def _named_algorithms(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """(name, version) wherever a content item or a segment identifies an algorithm."""
    for item in dataset.get("SegmentSequence") or ():
        for algorithm in item.get("SegmentationAlgorithmIdentificationSequence") or ():
            yield text(algorithm, "AlgorithmName"), text(algorithm, "AlgorithmVersion")
    pending = [dataset]
    while pending:
        content = pending.pop().get("ContentSequence") or ()
        pending.extend(content)
        said = {code_of(item, "ConceptNameCodeSequence")[0]: text(item, "TextValue") for item in content}
        if codes.ALGORITHM_NAME.value in said and codes.ALGORITHM_VERSION.value in said:
            yield said[codes.ALGORITHM_NAME.value], said[codes.ALGORITHM_VERSION.value]


def _coded_concepts(dataset: Dataset, _: Sources) -> Iterator[str]:
    for path, element in own_elements(dataset):
        if element.VR == "SQ" and (element.keyword.endswith("CodeSequence") or element.keyword in _CODED):
            for item in element.value:
                value = any(not is_empty(item, each) for each in ("CodeValue", "LongCodeValue", "URNCodeValue"))
                scheme = not is_empty(item, "CodingSchemeDesignator") or "URNCodeValue" in item
                if not value or not scheme or is_empty(item, "CodeMeaning"):
                    yield f"{path} has a code without value, scheme or meaning (PS3.3 Table 8.8-1)"


def _private_schemes(dataset: Dataset, _: Sources) -> Iterator[str]:
    declared = {text(item, "CodingSchemeDesignator") for item in items(dataset, "CodingSchemeIdentificationSequence")}
    used = {
        str(element.value)
        for path, element in own_elements(dataset)
        if element.keyword == "CodingSchemeDesignator" and not path.startswith("CodingSchemeIdentification")
    }
    if {each for each in used if each.startswith("99")} - declared:
        yield "a private coding scheme is not declared in CodingSchemeIdentificationSequence (PS3.16 section 8)"


EVERY_OBJECT: tuple[Check, ...] = (
    SOP_COMMON,
    _PATIENT_AND_STUDY.check(),
    _SERIES.check(),
    _EQUIPMENT.check(),
    Check("uids", _uids),
    Check("file-meta", _file_meta),
    Check("value-representations", _value_representations),
    Check("dates", _dates),
    Check("character-set", _character_set),
    Check("research-mark", _research_mark),
    Check("contributing-equipment", _contributing),
    Check("algorithm-names", _algorithm_names),
    Check("coded-concepts", _coded_concepts),
    Check("private-schemes", _private_schemes),
)
