"""Every kind of object this node makes, one row each, and the templates of the report; tables only."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import uid

#: Label Map Segmentation Storage (DICOM 2024c), which pydicom 3.0 does not name.
LABEL_MAP_SEGMENTATION_STORAGE = uid.UID("1.2.840.10008.5.1.4.1.1.66.7")
#: Root template of the report (PS3.16 TID 1500).
ROOT_TEMPLATE = "1500"


@dataclass(frozen=True, slots=True)
class CreatedKind:
    """One kind of result object: its SOP class and Modality (0008,0060), how many an analysis makes, and when."""

    sop_class_uid: str
    modality: str
    count: str
    condition: str


#: In sending order. `encode` makes no object of another kind; a new kind is a new row, and the conformance statement
#: finds its attributes by itself, as long as `dicom_node.conformance.specimens` gives it cause to be made.
CREATED_KINDS: tuple[CreatedKind, ...] = (
    CreatedKind(
        uid.SegmentationStorage,
        "SEG",
        "one for each volume with segments",
        "a segmentation stage found something, and the images state their geometry; binary or fractional",
    ),
    CreatedKind(
        LABEL_MAP_SEGMENTATION_STORAGE,
        "SEG",
        "one for each volume with segments",
        "instead of the Segmentation, for a destination that is configured for label maps",
    ),
    CreatedKind(
        uid.Comprehensive3DSRStorage,
        "SR",
        "exactly one",
        "always: found, not found, not attempted and failed are all reported",
    ),
    CreatedKind(
        uid.ComprehensiveSRStorage,
        "SR",
        "exactly one",
        "instead of the Comprehensive 3D SR, for a destination that refuses that; its content is the same",
    ),
    CreatedKind(
        uid.GrayscaleSoftcopyPresentationStateStorage,
        "PR",
        "one for each volume with findings, and for each Modality LUT of its images",
        "something was found on grey images",
    ),
    CreatedKind(
        uid.ColorSoftcopyPresentationStateStorage,
        "PR",
        "one for each volume with findings",
        "something was found on colour images",
    ),
    CreatedKind(
        uid.SecondaryCaptureImageStorage,
        "OT",
        "one for each key slice, at most twelve a volume; one for each heat map",
        "something was found; heat maps for a destination that is configured for them",
    ),
    CreatedKind(
        uid.KeyObjectSelectionDocumentStorage,
        "KO",
        "one",
        "something was found, for a destination that is configured for it",
    ),
    CreatedKind(
        uid.EncapsulatedPDFStorage,
        "DOC",
        "one",
        "always, for a destination that is configured for it",
    ),
)


def name_of_kind(sop_class_uid: str) -> str:
    """The SOP class's name (PS3.6 A), also where pydicom has none yet."""
    if sop_class_uid == LABEL_MAP_SEGMENTATION_STORAGE:
        return "Label Map Segmentation Storage"
    return uid.UID(sop_class_uid).name


@dataclass(frozen=True, slots=True)
class Template:
    """A template of PS3.16 that the report follows, and the concept (code, scheme) that begins it there."""

    number: str
    title: str
    begins_with: tuple[str, str]


#: In the order of the report. Where a viewer finds a template by its identifier, the object states it, too.
TEMPLATES: tuple[Template, ...] = (
    Template(ROOT_TEMPLATE, "Measurement Report", ("126000", "DCM")),
    Template("1204", "Language of Content Item and Descendants", ("121049", "DCM")),
    Template("1002", "Observer Context", ("121005", "DCM")),
    Template("1004", "Device Observer Identifying Attributes", ("121012", "DCM")),
    Template("1600", "Image Library", ("111028", "DCM")),
    Template("1602", "Image Library Entry Descriptors", ("110910", "DCM")),
    Template("1411", "Volumetric ROI Measurements and Qualitative Evaluations", ("125007", "DCM")),
    Template("1410", "Planar ROI Measurements and Qualitative Evaluations", ("125007", "DCM")),
    Template("4108", "Tracking Identifier", ("112039", "DCM")),
    Template("4019", "Algorithm Identification", ("111001", "DCM")),
    Template("300", "Measurement", ("118565006", "SCT")),
)
