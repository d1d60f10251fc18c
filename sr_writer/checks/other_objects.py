"""Rules for objects beside report, segmentation and presentation state: captures, key objects, documents, maps."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from sr_writer.checks.attributes import Module, is_empty, is_native, items, text
from sr_writer.checks.content import content_items, root
from sr_writer.checks.problem import Check, Sources

_PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
_CAPTURE = Module(
    "secondary-capture",
    "SC Equipment, General Image and Image Pixel (C.8.6.1, C.7.6.1, C.7.6.3)",
    ("ConversionType", "ImageType", "PixelData", *_PIXELS),
    ("InstanceNumber",),
)
_KEY_OBJECTS = Module(
    "key-object-document",
    "Key Object Document (C.17.6.2, C.17.6.3)",
    (
        "InstanceNumber",
        "ContentDate",
        "ContentTime",
        "ValueType",
        "ContinuityOfContent",
        "ConceptNameCodeSequence",
        "ContentTemplateSequence",
        "ContentSequence",
        "CurrentRequestedProcedureEvidenceSequence",
        "CurrentRequestedProcedureEvidenceSequence/StudyInstanceUID",
        "CurrentRequestedProcedureEvidenceSequence/ReferencedSeriesSequence",
        "CurrentRequestedProcedureEvidenceSequence/ReferencedSeriesSequence/SeriesInstanceUID",
        "CurrentRequestedProcedureEvidenceSequence/ReferencedSeriesSequence/ReferencedSOPSequence",
    ),
)
_DOCUMENT = Module(
    "encapsulated-document",
    "Encapsulated Document (C.24.2)",
    ("InstanceNumber", "BurnedInAnnotation", "MIMETypeOfEncapsulatedDocument", "EncapsulatedDocument"),
    ("ContentDate", "ContentTime", "AcquisitionDateTime", "DocumentTitle", "ConceptNameCodeSequence"),
)
_MAP = Module(
    "parametric-map",
    "Parametric Map Image (C.8.32.2), Content Identification and Multi-frame (C.7.6.16, C.7.6.17)",
    (
        "InstanceNumber",
        "ContentLabel",
        "ContentDate",
        "ContentTime",
        "ImageType",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "LossyImageCompression",
        "BurnedInAnnotation",
        "RecognizableVisualFeatures",
        "PresentationLUTShape",
        "NumberOfFrames",
        "DimensionOrganizationSequence",
        "DimensionIndexSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence/FrameContentSequence",
        "FrameOfReferenceUID",
    ),
    ("ContentDescription", "ContentCreatorName"),
)


def _eight_bit_rgb(dataset: Dataset, _: Sources) -> Iterator[str]:
    keywords = ("PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit")
    if [text(dataset, keyword) for keyword in keywords] != ["RGB", "3", "8", "8", "7"]:
        yield "the capture is not RGB of 8 bits, the one form that every viewer shows"
    if is_empty(dataset, "PlanarConfiguration"):
        yield "PlanarConfiguration is missing; it is Type 1C where a pixel has several samples (C.7.6.3)"


def _capture_pixels(dataset: Dataset, _: Sources) -> Iterator[str]:
    sizes = [int(dataset.get(keyword) or 0) for keyword in ("Rows", "Columns", "SamplesPerPixel")]
    wanted = sizes[0] * sizes[1] * sizes[2] * int(dataset.get("NumberOfFrames") or 1)
    if is_native(dataset) and "PixelData" in dataset and len(dataset.PixelData) != wanted + wanted % 2:
        yield "PixelData is not as long as Rows, Columns and SamplesPerPixel say (C.7.6.3)"


def _selected(dataset: Dataset, _: Sources) -> Iterator[str]:
    template = [text(item, "TemplateIdentifier") for item in dataset.get("ContentTemplateSequence") or ()]
    if template != ["2010"]:
        yield "ContentTemplateSequence does not say 2010 (TID 2010)"
    chosen = [each for item in root(dataset).children() for each in item.references()]
    if not chosen:
        yield "the selection holds no object (TID 2010)"
    listed = {
        text(item, "ReferencedSOPInstanceUID")
        for item in items(
            dataset, "CurrentRequestedProcedureEvidenceSequence/ReferencedSeriesSequence/ReferencedSOPSequence"
        )
    }
    if any(text(each, "ReferencedSOPInstanceUID") not in listed for each in chosen):
        yield "an object is selected that the evidence sequence does not list (C.17.6.2)"


def _pdf(dataset: Dataset, _: Sources) -> Iterator[str]:
    if text(dataset, "MIMETypeOfEncapsulatedDocument") != "application/pdf":
        yield "MIMETypeOfEncapsulatedDocument is not application/pdf (A.45.1)"
    if not bytes(dataset.get("EncapsulatedDocument") or b"").startswith(b"%PDF-"):
        yield "EncapsulatedDocument does not begin like a PDF"


def _map_pixels(dataset: Dataset, _: Sources) -> Iterator[str]:
    if not any(each in dataset for each in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        yield "there are no pixels, integer or floating point (C.7.6.3, C.7.6.24)"
    mappings = [
        item
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for item in items(dataset, f"{groups}/RealWorldValueMappingSequence")
    ]
    if not mappings or any(is_empty(item, "MeasurementUnitsCodeSequence") for item in mappings):
        yield "no RealWorldValueMappingSequence says in which unit the values are (C.7.6.16.2.11)"


SECONDARY_CAPTURE: tuple[Check, ...] = (
    _CAPTURE.check(),
    Check("capture-rgb", _eight_bit_rgb),
    Check("capture-pixels", _capture_pixels),
)
KEY_OBJECT_SELECTION: tuple[Check, ...] = (
    _KEY_OBJECTS.check(),
    Check("key-objects", _selected),
    Check("content-items", content_items),
)
ENCAPSULATED_PDF: tuple[Check, ...] = (_DOCUMENT.check(), Check("pdf", _pdf))
PARAMETRIC_MAP: tuple[Check, ...] = (_MAP.check(), Check("map-values", _map_pixels))
