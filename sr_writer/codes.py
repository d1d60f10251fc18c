"""Every coded concept this node writes, once, by name, and the tables from a model's labels to codes.

Codes are those of PS3.16 and SNOMED CT; what no public scheme names is in our own scheme, which begins with 99 as
PS3.16 section 8 asks of private ones and is declared in every object that uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

#: Characters of a Code Value (PS3.5 Table 6.2-1, VR SH).
_LONGEST_CODE = 16
PRIVATE_SCHEME = "99DICOMAINODE"


def private_scheme() -> CodingSchemeIdentificationItem:
    """The declaration of our own scheme for Coding Scheme Identification Sequence (0008,0110)."""
    return CodingSchemeIdentificationItem(PRIVATE_SCHEME, "Private codes of the DICOM AI node")


def item(code: Code) -> CodedConcept:
    """The code as an item of a code sequence (PS3.3 Table 8.8-1)."""
    return CodedConcept.from_code(code)


#: Document structure (TID 1500).
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
#: Without a measurement group; why: docs/decisions/title-without-measurements.md.
TITLE_WITHOUT_MEASUREMENTS = Code("analysis-report", PRIVATE_SCHEME, "Image Analysis Report")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
DEVICE = Code("121007", "DCM", "Device")
SOURCE = Code("260753009", "SCT", "Source")
COMMENT = Code("121106", "DCM", "Comment")
REASON = Code("410666004", "SCT", "Reason")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
DEVICE_OBSERVER_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL_NAME = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = Code("112040", "DCM", "Tracking Unique Identifier")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
REFERENCED_SEGMENT = Code("121191", "DCM", "Referenced Segment")
SOURCE_IMAGE_FOR_SEGMENTATION = Code("121233", "DCM", "Source Image for Segmentation")
SOURCE_SERIES_FOR_SEGMENTATION = Code("121232", "DCM", "Source series for segmentation")
GEOMETRIC_PURPOSE = Code("130400", "DCM", "Geometric purpose of region")
SERIES_INSTANCE_UID = Code("112002", "DCM", "Series Instance UID")

#: Descriptors of an image (TID 1602).
MODALITY = Code("121139", "DCM", "Modality")
FRAME_OF_REFERENCE_UID = Code("112227", "DCM", "Frame of Reference UID")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")

#: What the cascade was asked besides the modality.
TARGET_REGION = Code("123014", "DCM", "Target Region")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
FINDING = Code("121071", "DCM", "Finding")

SOURCE_IMAGE_FOR_PROCESSING = Code("121322", "DCM", "Source image for image processing operation")
OF_INTEREST = Code("113000", "DCM", "Of Interest")
DIAGNOSTIC_IMAGING_REPORT = Code("18748-4", "LN", "Diagnostic imaging study")

#: How an algorithm and the analysis ended (CID 240, CID 6042, CID 6047).
SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
SUMMARY_OF_DETECTIONS = Code("111064", "DCM", "Summary of Detections")
SUMMARY_OF_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
NOT_ATTEMPTED = Code("111225", "DCM", "Not Attempted")
FAILED = Code("111224", "DCM", "Failed")
ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
ALL_SUCCEEDED_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
NOT_ALL_SUCCEEDED_WITH_FINDINGS = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")

#: Findings and their place.
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
ABNORMAL = Code("263654008", "SCT", "Abnormal")
LESION = Code("52988006", "SCT", "Lesion")
SIDES: Mapping[str, Code] = {"L": Code("7771000", "SCT", "Left"), "R": Code("24028007", "SCT", "Right")}
BRAIN = Code("12738006", "SCT", "Brain")
OUTLINE = Code("111041", "DCM", "Outline")
BOUNDED_BY = Code("75958009", "SCT", "Bounded by")

#: Measurements and their units.
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
MILLILITRE = Code("ml", "UCUM", "ml")
MILLIMETRE = Code("mm", "UCUM", "mm")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
NO_UNITS = Code("1", "UCUM", "no units")
SLICE_COUNT = Code("{slices}", "UCUM", "slices")
MEASUREMENT_METHOD = Code("370129005", "SCT", "Measurement Method")

#: Equipment and algorithm (TID 4019).
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

#: Ours. A score is a network's output, not a probability; DICOM has no code for that.
SCORE = Code("score", PRIVATE_SCHEME, "Score")
STAGE = Code("stage", PRIVATE_SCHEME, "Analysis stage")
CLASSIFICATION = Code("classification", PRIVATE_SCHEME, "Classification")
HEADER = Code("header", PRIVATE_SCHEME, "Header in comparison")
IMAGE_QUALITY = Code("image-quality", PRIVATE_SCHEME, "Image quality")
NOT_ANALYSED = Code("not-analysed", PRIVATE_SCHEME, "Instances not analysed")
INSTANCE_NOT_ANALYSED = Code("instance", PRIVATE_SCHEME, "SOP Instance UID not analysed")
REPAIR = Code("repair", PRIVATE_SCHEME, "Repair of an attribute")
CHANGE = Code("change", PRIVATE_SCHEME, "Change since the previous report")
SLICES = Code("slices", PRIVATE_SCHEME, "Number of slices on which it is seen")
#: How a score came about (Measurement Method).
MEAN_OVER_VOXELS = Code("mean-over-voxels", PRIVATE_SCHEME, "Mean network output over the voxels")
BEST_BOX = Code("best-box", PRIVATE_SCHEME, "Highest network output of a box")
SOFTMAX = Code("softmax", PRIVATE_SCHEME, "Softmax, median over slices")


@dataclass(frozen=True, slots=True)
class BodyRegion:
    """A part of the body as SNOMED CT concept and as defined term of Body Part Examined (PS3.16 Annex L)."""

    concept: Code
    body_part_examined: str


REGIONS: Mapping[str, BodyRegion] = {
    "ankle": BodyRegion(Code("70258002", "SCT", "Ankle joint"), "ANKLE"),
    "brain": BodyRegion(BRAIN, "BRAIN"),
    "elbow": BodyRegion(Code("16953009", "SCT", "Elbow joint"), "ELBOW"),
    "finger": BodyRegion(Code("7569003", "SCT", "Finger"), "FINGER"),
    "foot": BodyRegion(Code("56459004", "SCT", "Foot"), "FOOT"),
    "forearm": BodyRegion(Code("14975008", "SCT", "Forearm"), "FOREARM"),
    "hand": BodyRegion(Code("85562004", "SCT", "Hand"), "HAND"),
    "hip": BodyRegion(Code("29836001", "SCT", "Hip"), "HIP"),
    "humerus": BodyRegion(Code("85050009", "SCT", "Humerus"), "HUMERUS"),
    "knee": BodyRegion(Code("72696002", "SCT", "Knee"), "KNEE"),
    "shoulder": BodyRegion(Code("16982005", "SCT", "Shoulder"), "SHOULDER"),
    "wrist": BodyRegion(Code("74670003", "SCT", "Wrist joint"), "WRIST"),
}

MODALITIES: Mapping[str, Code] = {
    "ct": Code("CT", "DCM", "Computed Tomography"),
    "mr": Code("MR", "DCM", "Magnetic Resonance"),
    "us": Code("US", "DCM", "Ultrasound"),
    "xr": Code("DX", "DCM", "Digital Radiography"),
}

PLANES: Mapping[str, Code] = {
    "axial": Code("24422004", "SCT", "Axial"),
    "coronal": Code("81654009", "SCT", "Coronal"),
    "sagittal": Code("30730003", "SCT", "Sagittal"),
}

#: Modality (0008,0060) to its code where the two differ in nothing (CID 29).
ACQUISITION_MODALITIES: Mapping[str, Code] = {
    "CT": MODALITIES["ct"],
    "MR": MODALITIES["mr"],
    "US": MODALITIES["us"],
    "DX": MODALITIES["xr"],
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "MG": Code("MG", "DCM", "Mammography"),
    "RF": Code("RF", "DCM", "Radiofluoroscopy"),
    "XA": Code("XA", "DCM", "X-Ray Angiography"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
    "NM": Code("NM", "DCM", "Nuclear Medicine"),
}

#: Procedure reported by Modality (0008,0060) of the images (CID 100).
PROCEDURES: Mapping[str, Code] = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "CR": Code("43468-8", "LN", "XR unspecified body region"),
    "DX": Code("43468-8", "LN", "XR unspecified body region"),
}
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")

#: A word of a stage's name or of a finding's label, and the concept it stands for.
_QUESTIONS: Mapping[str, Code] = {"modality": MODALITY, "region": TARGET_REGION, "plane": IMAGE_VIEW}
_FINDINGS: Mapping[str, Code] = {"tumour": NEOPLASM, "abnormality": ABNORMAL, "lesion": LESION}
_ANSWERS: Mapping[str, Code] = {
    **MODALITIES,
    **{name: region.concept for name, region in REGIONS.items()},
    **PLANES,
}


def _words(text: str) -> list[str]:
    return text.lower().replace("_", " ").split()


def question(stage: str) -> Code:
    """What a classification stage of this name answers."""
    return next((_QUESTIONS[word] for word in _words(stage) if word in _QUESTIONS), CLASSIFICATION)


def answer(label: str) -> Code:
    """The class of this label; a private code where it stands in no table."""
    return _ANSWERS.get(label.lower(), Code(_short(label), PRIVATE_SCHEME, label[:64]))


def _short(label: str) -> str:
    """A Code Value (SH) for a label; one that is too long keeps its beginning, and a digest tells it from others."""
    if len(label) <= _LONGEST_CODE:
        return label
    return f"{label[:7]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def finding(name: str) -> Code | None:
    """The finding that a label, or the name of the stage that looks for it, mentions."""
    return next((_FINDINGS[word] for word in _words(name) if word in _FINDINGS), None)


def site(name: str) -> Code | None:
    """The part of the body that a label or a stage's name mentions."""
    return next((REGIONS[word].concept for word in _words(name) if word in REGIONS), None)
