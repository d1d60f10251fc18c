"""Nothing that an object needs can be taken away, or made wrong, without a check saying so by its name."""

import io

import pydicom
import pytest

from sr_writer.checks import check_object, check_together
from sr_writer.checks.every_object import EVERY_OBJECT
from sr_writer.checks.presentation import GREYSCALE_STATE
from sr_writer.checks.report import REPORT
from sr_writer.checks.segmentation import SEGMENTATION
from tests.builders.analyses import (
    EQUIPMENT,
    WHEN,
    analysis_of,
    classified,
    encode,
    failed,
    headers_of,
    lesion,
    segmented,
)
from tests.builders.datasets import encoded, mr_series

SHAPE = (3, 32, 24)
IMAGES = mr_series(SHAPE)
SOURCES = headers_of(*IMAGES)
MASKS = (lesion(SHAPE, start=(0, 8, 6), size=(2, 6, 7)), lesion(SHAPE, start=(1, 20, 15), size=(2, 4, 4)))
ANALYSIS = analysis_of(IMAGES, classified("modality", "mr"), segmented(*MASKS), failed("other"))
GOOD = {each.Modality: encoded(each) for each in encode(ANALYSIS, SOURCES, EQUIPMENT, WHEN)}
CHECKS = {"SEG": SEGMENTATION, "SR": REPORT, "PR": GREYSCALE_STATE}

EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
FRAMES = "PerFrameFunctionalGroupsSequence"
GRAPHIC = "GraphicAnnotationSequence/GraphicObjectSequence"
LIBRARY = "111028/126200/260753009"
GROUP = "126010/125007"
REGION = "126010/125007:1/111030"
ANSWER = "C0034375/121139"

#: check: attributes, each of which it misses when it is gone; of every kind of object.
COMMON_ATTRIBUTES = {
    "sop-common": "SOPClassUID SOPInstanceUID",
    "patient-and-study": "StudyInstanceUID PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime"
    " ReferringPhysicianName StudyID AccessionNumber",
    "series": "Modality SeriesInstanceUID SeriesNumber",
    "equipment": "Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions",
    "dates": "InstanceCreationDate InstanceCreationTime SeriesDate SeriesTime",
    "character-set": "SpecificCharacterSet",
    "research-mark": "ContentQualification SeriesDescription",
    "contributing-equipment": "ContributingEquipmentSequence/PurposeOfReferenceCodeSequence"
    " ContributingEquipmentSequence/Manufacturer ContributingEquipmentSequence/ManufacturerModelName"
    " ContributingEquipmentSequence/SoftwareVersions ContributingEquipmentSequence/DeviceUID",
    "coded-concepts": "ContributingEquipmentSequence/PurposeOfReferenceCodeSequence/CodeValue"
    " ContributingEquipmentSequence/PurposeOfReferenceCodeSequence/CodingSchemeDesignator"
    " ContributingEquipmentSequence/PurposeOfReferenceCodeSequence/CodeMeaning",
}
ATTRIBUTES = {
    "SEG": {
        "contributing-equipment": "ContributingEquipmentSequence",
        "segmentation-image": "InstanceNumber ContentDate ContentTime ContentLabel ContentDescription"
        " ContentCreatorName ImageType SegmentationType SegmentSequence SamplesPerPixel PhotometricInterpretation Rows"
        " Columns BitsAllocated BitsStored HighBit PixelRepresentation LossyImageCompression NumberOfFrames PixelData",
        "segment-description": "SegmentSequence/SegmentNumber SegmentSequence/SegmentLabel"
        " SegmentSequence/SegmentAlgorithmType SegmentSequence/SegmentAlgorithmName"
        " SegmentSequence/SegmentedPropertyCategoryCodeSequence SegmentSequence/SegmentedPropertyTypeCodeSequence",
        "segment-algorithm": "SegmentSequence/SegmentationAlgorithmIdentificationSequence"
        " SegmentSequence/SegmentationAlgorithmIdentificationSequence/AlgorithmFamilyCodeSequence"
        " SegmentSequence/SegmentationAlgorithmIdentificationSequence/AlgorithmName"
        " SegmentSequence/SegmentationAlgorithmIdentificationSequence/AlgorithmVersion",
        "segment-tracking": "SegmentSequence/TrackingID SegmentSequence/TrackingUID",
        "segment-colour": "SegmentSequence/RecommendedDisplayCIELabValue",
        "coded-concepts": "SegmentSequence/AnatomicRegionSequence/CodeValue",
        "referenced-series": "ReferencedSeriesSequence ReferencedSeriesSequence/SeriesInstanceUID"
        " ReferencedSeriesSequence/ReferencedInstanceSequence"
        " ReferencedSeriesSequence/ReferencedInstanceSequence/ReferencedSOPClassUID"
        " ReferencedSeriesSequence/ReferencedInstanceSequence/ReferencedSOPInstanceUID",
        "frame-of-reference": "FrameOfReferenceUID PositionReferenceIndicator",
        "dimensions": "DimensionOrganizationSequence DimensionOrganizationSequence/DimensionOrganizationUID"
        " DimensionIndexSequence DimensionIndexSequence/DimensionIndexPointer"
        " DimensionIndexSequence/FunctionalGroupPointer DimensionIndexSequence/DimensionOrganizationUID"
        f" {FRAMES}/FrameContentSequence {FRAMES}/FrameContentSequence/DimensionIndexValues",
        "frame-derivation": f"{FRAMES} {FRAMES}/DerivationImageSequence"
        f" {FRAMES}/DerivationImageSequence/DerivationCodeSequence"
        f" {FRAMES}/DerivationImageSequence/SourceImageSequence"
        f" {FRAMES}/DerivationImageSequence/SourceImageSequence/ReferencedSOPClassUID"
        f" {FRAMES}/DerivationImageSequence/SourceImageSequence/ReferencedSOPInstanceUID"
        f" {FRAMES}/DerivationImageSequence/SourceImageSequence/PurposeOfReferenceCodeSequence",
        "frame-segments": f"{FRAMES}/SegmentIdentificationSequence"
        f" {FRAMES}/SegmentIdentificationSequence/ReferencedSegmentNumber",
        "frame-geometry": f"{FRAMES}/PlanePositionSequence {FRAMES}/PlanePositionSequence/ImagePositionPatient"
        " SharedFunctionalGroupsSequence SharedFunctionalGroupsSequence/PlaneOrientationSequence"
        " SharedFunctionalGroupsSequence/PlaneOrientationSequence/ImageOrientationPatient"
        " SharedFunctionalGroupsSequence/PixelMeasuresSequence"
        " SharedFunctionalGroupsSequence/PixelMeasuresSequence/PixelSpacing"
        " SharedFunctionalGroupsSequence/PixelMeasuresSequence/SliceThickness",
    },
    "SR": {
        "sr-document": "InstanceNumber CompletionFlag VerificationFlag PreliminaryFlag ContentDate ContentTime"
        " ValueType ContinuityOfContent ConceptNameCodeSequence ContentSequence"
        " ReferencedPerformedProcedureStepSequence PerformedProcedureCodeSequence",
        "document-state": "VerificationFlag PreliminaryFlag",
        "report-title": "ConceptNameCodeSequence ValueType",
        "content-template": "ContentTemplateSequence ContentTemplateSequence/MappingResource"
        " ContentTemplateSequence/TemplateIdentifier",
        "completion-outcome": "CompletionFlagDescription",
        "evidence": f"{EVIDENCE} {EVIDENCE}/StudyInstanceUID {EVIDENCE}/ReferencedSeriesSequence"
        f" {EVIDENCE}/ReferencedSeriesSequence/SeriesInstanceUID"
        f" {EVIDENCE}/ReferencedSeriesSequence/ReferencedSOPSequence"
        f" {EVIDENCE}/ReferencedSeriesSequence/ReferencedSOPSequence/ReferencedSOPClassUID"
        f" {EVIDENCE}/ReferencedSeriesSequence/ReferencedSOPSequence/ReferencedSOPInstanceUID",
        "private-schemes": "CodingSchemeIdentificationSequence"
        " CodingSchemeIdentificationSequence/CodingSchemeDesignator",
        "algorithm-names": "ContributingEquipmentSequence",
    },
    "PR": {
        "contributing-equipment": "ContributingEquipmentSequence",
        "presentation-identification": "InstanceNumber ContentLabel PresentationCreationDate PresentationCreationTime"
        " ContentDescription ContentCreatorName",
        "presentation-relationship": "ReferencedSeriesSequence ReferencedSeriesSequence/SeriesInstanceUID"
        " ReferencedSeriesSequence/ReferencedImageSequence"
        " ReferencedSeriesSequence/ReferencedImageSequence/ReferencedSOPClassUID"
        " ReferencedSeriesSequence/ReferencedImageSequence/ReferencedSOPInstanceUID",
        "displayed-area": "DisplayedAreaSelectionSequence"
        " DisplayedAreaSelectionSequence/DisplayedAreaTopLeftHandCorner"
        " DisplayedAreaSelectionSequence/DisplayedAreaBottomRightHandCorner"
        " DisplayedAreaSelectionSequence/PresentationSizeMode DisplayedAreaSelectionSequence/PresentationPixelSpacing",
        "graphic-annotation": "GraphicAnnotationSequence GraphicAnnotationSequence/GraphicLayer"
        " GraphicAnnotationSequence/ReferencedImageSequence/ReferencedSOPClassUID"
        " GraphicAnnotationSequence/ReferencedImageSequence/ReferencedSOPInstanceUID"
        f" {GRAPHIC}/GraphicAnnotationUnits {GRAPHIC}/GraphicDimensions {GRAPHIC}/NumberOfGraphicPoints"
        f" {GRAPHIC}/GraphicData {GRAPHIC}/GraphicType {GRAPHIC}/GraphicFilled"
        " GraphicAnnotationSequence/TextObjectSequence/UnformattedTextValue",
        "annotated-images": "GraphicAnnotationSequence/ReferencedImageSequence",
        "graphic-layer": "GraphicLayerSequence GraphicLayerSequence/GraphicLayer"
        " GraphicLayerSequence/GraphicLayerOrder",
        "graphic-tracking": f"{GRAPHIC}/TrackingID {GRAPHIC}/TrackingUID",
        "text-place": "GraphicAnnotationSequence/TextObjectSequence/BoundingBoxTopLeftHandCorner"
        " GraphicAnnotationSequence/TextObjectSequence/BoundingBoxBottomRightHandCorner"
        " GraphicAnnotationSequence/TextObjectSequence/BoundingBoxAnnotationUnits",
        "softcopy-voi": "SoftcopyVOILUTSequence/WindowCenter SoftcopyVOILUTSequence/WindowWidth",
        "presentation-lut": "PresentationLUTShape",
    },
}
REMOVED = [
    (kind, path, check)
    for kind in GOOD
    for table in (COMMON_ATTRIBUTES, ATTRIBUTES[kind])
    for check, paths in table.items()
    for path in paths.split()
]

#: (path of concept names, nth of that name where it is not the first; check): template rows that cannot be missing.
CONTENT = [
    ("121049", "report-language"),
    ("121005", "observers"),
    ("121012", "observers"),
    ("121014", "observers"),
    ("121015", "observers"),
    ("121058", "procedure-reported"),
    ("111028", "image-library"),
    ("111028/126200", "image-library"),
    (LIBRARY, "image-library"),
    (f"{LIBRARY}/110910", "image-library"),
    (f"{LIBRARY}/110911", "image-library"),
    ("126010", "findings-agree"),
    (f"{GROUP}/112039", "tracking-identifier"),
    (f"{GROUP}/112040", "tracking-uid"),
    (f"{GROUP}/121071", "group-finding"),
    (f"{GROUP}/111001", "group-algorithm-name"),
    (f"{GROUP}/111003", "group-algorithm-version"),
    (f"{GROUP}/121191", "volumetric-region"),
    (REGION, "planar-region"),
    (REGION, "group-coordinates"),
    (f"{GROUP}:1/130400", "planar-region"),
    (f"{GROUP}:1/112040", "group-coordinates"),
    (f"{REGION}/-", "region-image"),
    ("C0034375", "analysis-summary"),
    ("C0034375/121106", "research-statement"),
    ("C0034375/111017", "analysis-summary"),
    (f"{ANSWER}/stage", "answer-context"),
    (f"{ANSWER}/112002", "answer-context"),
    (f"{ANSWER}/111001", "answer-context"),
    (f"{ANSWER}/111003", "answer-context"),
    ("C0034375/111064/410666004", "refusal-reason"),
]

#: (content item, attribute of it, check): what an item must have.
ITEM_ATTRIBUTES = [
    ("121049", "RelationshipType", "content-items"),
    ("121049", "ValueType", "content-items"),
    ("121049", "ConceptNameCodeSequence", "content-items"),
    ("121049", "ConceptCodeSequence", "content-items"),
    ("121012", "UID", "content-items"),
    ("111028", "ContinuityOfContent", "content-items"),
    (LIBRARY, "ReferencedSOPSequence", "content-items"),
    (f"{LIBRARY}/110910", "MeasuredValueSequence", "units"),
    (f"{GROUP}/112039", "TextValue", "content-items"),
    (GROUP, "ContentTemplateSequence", "group-template"),
    (REGION, "GraphicType", "content-items"),
    (REGION, "GraphicData", "content-items"),
    (REGION, "GraphicData", "outlines"),
]


def read(kind):
    """A good object, to be spoilt."""
    return pydicom.dcmread(io.BytesIO(GOOD[kind]))


def failing(dataset):
    """Names of the checks that it fails."""
    return {problem.check for problem in check_object(dataset, SOURCES)}


def holder(dataset, path):
    """Data set and keyword at the end of a path, through the first item of each sequence."""
    *sequences, keyword = path.split("/")
    for sequence in sequences:
        dataset = dataset[sequence].value[0]
    return dataset, keyword


def content_item(dataset, path):
    """(parent, item) of a path of concept values; CODE:n is the nth of that name, - an item without a name."""
    for step in path.split("/"):
        value, _, number = step.partition(":")
        parent = dataset
        names = [
            each.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in each else "-"
            for each in parent.ContentSequence
        ]
        found = [each for each, name in zip(parent.ContentSequence, names, strict=True) if value in (name, "-")]
        dataset = found[int(number or 0)]
    return parent, dataset


@pytest.mark.parametrize("kind", GOOD)
def test_good_objects_have_no_problem(kind):
    """With their images at hand, and without."""
    assert check_object(read(kind), SOURCES) == ()
    assert check_object(read(kind), {}) == ()


@pytest.mark.parametrize(("kind", "path", "check"), REMOVED)
def test_a_missing_attribute_is_told(kind, path, check):
    """Type 1 attributes, and those of Type 2 by their absence."""
    dataset = read(kind)
    item, keyword = holder(dataset, path)
    del item[keyword]
    assert check in failing(dataset)


@pytest.mark.parametrize(("path", "check"), CONTENT)
def test_a_missing_template_row_is_told(path, check):
    """Content items of TID 1500 and below."""
    dataset = read("SR")
    parent, item = content_item(dataset, path)
    parent.ContentSequence = [each for each in parent.ContentSequence if each is not item]
    assert check in failing(dataset)


@pytest.mark.parametrize(("path", "keyword", "check"), ITEM_ATTRIBUTES)
def test_a_content_item_without_its_value_is_told(path, keyword, check):
    """Relationship, type, name, value."""
    dataset = read("SR")
    _, item = content_item(dataset, path)
    del item[keyword]
    assert check in failing(dataset)


def put(path, value):
    """Writes a value at a path of keywords."""

    def spoil(dataset):
        item, keyword = holder(dataset, path)
        setattr(item, keyword, value)

    return spoil


def put_in(content_path, path, value):
    """Writes a value at a path of keywords below a content item."""

    def spoil(dataset):
        _, item = content_item(dataset, content_path)
        put(path, value)(item)

    return spoil


def by_another_relationship(concept):
    """Every item of that name directly below the root."""

    def spoil(dataset):
        for item in dataset.ContentSequence:
            if item.ConceptNameCodeSequence[0].CodeValue == concept:
                item.RelationshipType = "CONTAINS"

    return spoil


def nothing_said(dataset):
    """Neither measurements nor evaluations."""
    dataset.ContentSequence = list(dataset.ContentSequence)[:-2]


def last_point_moved(dataset):
    """An outline that does not close."""
    _, item = content_item(dataset, REGION)
    item.GraphicData = [*list(item.GraphicData)[:-1], 1.0]


def first_two_points_left(dataset):
    """An outline that viewers would take for something to edit."""
    _, item = content_item(dataset, REGION)
    data = list(item.GraphicData)
    item.GraphicData = [*data[:4], *data[:2]]


def second_region(dataset):
    """Two regions where one belongs."""
    parent, item = content_item(dataset, REGION)
    parent.ContentSequence.append(item)


def unlisted_image(dataset):
    """A region on an image of which neither evidence nor library knows."""
    _, item = content_item(dataset, f"{REGION}/-")
    item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def emptied_frame(dataset):
    """A frame of zeros."""
    frame = dataset.Rows * dataset.Columns // 8
    dataset.PixelData = bytes(frame) + dataset.PixelData[frame:]


def graphic_far_away(dataset):
    """A graphic outside its image, whose number of points is right."""
    graphic, _ = holder(dataset, f"{GRAPHIC}/GraphicData")
    graphic.GraphicData = [500.0, *list(graphic.GraphicData)[1:-2], 500.0, graphic.GraphicData[-1]]


#: (kind, what is made wrong, check, how).
CHANGED = [
    ("SR", "a letter in a UID", "uids", put("SeriesInstanceUID", "1.2.x")),
    ("SR", "series and study of one UID", "uids", lambda each: put("SeriesInstanceUID", each.StudyInstanceUID)(each)),
    ("SEG", "another object's file meta", "file-meta",
     lambda each: put("MediaStorageSOPInstanceUID", "1.2.3")(each.file_meta)),
    ("SR", "no implementation", "file-meta", lambda each: delattr(each.file_meta, "ImplementationClassUID")),
    ("SR", "a date in words", "value-representations", put("ContentDate", "yesterday")),
    ("SEG", "a label too long", "value-representations", put("ContentLabel", "A" * 17)),
    ("PR", "Latin-1", "character-set", put("SpecificCharacterSet", "ISO_IR 100")),
    ("SEG", "a product", "research-mark", put("ContentQualification", "PRODUCT")),
    ("SR", "a description without its mark", "research-mark", put("SeriesDescription", "AI findings")),
    ("SR", "another purpose", "contributing-equipment",
     put("ContributingEquipmentSequence/PurposeOfReferenceCodeSequence/CodeValue", "109101")),
    ("SR", "a nickname", "algorithm-names", put("ContributingEquipmentSequence/SoftwareVersions", "9")),
    ("SEG", "a segment by a stranger", "algorithm-names",
     put("SegmentSequence/SegmentationAlgorithmIdentificationSequence/AlgorithmName", "stranger")),
    ("SR", "verified", "document-state", put("VerificationFlag", "VERIFIED")),
    ("SR", "final", "document-state", put("PreliminaryFlag", "FINAL")),
    ("SR", "a mammography report", "report-title", put("ConceptNameCodeSequence/CodeValue", "111036")),
    ("SR", "another template", "content-template", put("ContentTemplateSequence/TemplateIdentifier", "1501")),
    ("SR", "complete though a stage failed", "completion-outcome", put("CompletionFlag", "COMPLETE")),
    ("SR", "a summary without findings", "findings-agree",
     put_in("C0034375/111017", "ConceptCodeSequence/CodeValue", "111243")),
    ("SR", "a summary of success", "completion-outcome",
     put_in("C0034375/111017", "ConceptCodeSequence/CodeValue", "111242")),
    ("SR", "an observer who contributed nothing", "observers", put_in("121012", "UID", "1.2.3")),
    ("SR", "a language by another relationship", "report-language", put_in("121049", "RelationshipType", "CONTAINS")),
    ("SR", "an observer of no type", "observer-type", by_another_relationship("121005")),
    ("SR", "an observer by another relationship", "observer-uid", by_another_relationship("121012")),
    ("SR", "nothing said", "report-content", nothing_said),
    ("SR", "an open outline", "outlines", last_point_moved),
    ("SR", "an outline of three points", "outlines", first_two_points_left),
    ("SR", "half a point", "outlines", put_in(REGION, "GraphicData", [1.0, 2.0, 3.0])),
    ("SR", "a negative point", "points-in-range", put_in(REGION, "GraphicData", [-1.0, 1.0] * 6)),
    ("SR", "a point beyond the last row", "points-in-range", put_in(REGION, "GraphicData", [1.0, 32.5] * 6)),
    ("SR", "two regions", "planar-region", second_region),
    ("SR", "a group of another template", "group-template",
     put_in(GROUP, "ContentTemplateSequence/TemplateIdentifier", "1501")),
    ("SR", "a region on a strange image", "evidence", unlisted_image),
    ("SR", "a region on a strange image", "image-library", unlisted_image),
    ("SR", "a unit of its own", "units",
     put_in(f"{GROUP}/118565006", "MeasuredValueSequence/MeasurementUnitsCodeSequence/CodingSchemeDesignator", "DCM")),
    ("SR", "an undeclared scheme", "private-schemes",
     put("CodingSchemeIdentificationSequence/CodingSchemeDesignator", "99OTHER")),
    ("SEG", "segments from 2 on", "segment-numbers", put("SegmentSequence/SegmentNumber", 3)),
    ("SEG", "drawn by hand", "segment-automatic", put("SegmentSequence/SegmentAlgorithmType", "MANUAL")),
    ("SEG", "eight bits a pixel", "segmentation-bits", put("BitsStored", 8)),
    ("SEG", "a frame of no segment", "frame-segments",
     put(f"{FRAMES}/SegmentIdentificationSequence/ReferencedSegmentNumber", 7)),
    ("SEG", "another number of frames", "frame-segments", put("NumberOfFrames", 2)),
    ("SEG", "a frame of a strange image", "frame-derivation",
     put(f"{FRAMES}/DerivationImageSequence/SourceImageSequence/ReferencedSOPInstanceUID", "1.2.3")),
    ("SEG", "another derivation", "frame-derivation",
     put(f"{FRAMES}/DerivationImageSequence/DerivationCodeSequence/CodeValue", "113091")),
    ("SEG", "an empty frame", "empty-frames", emptied_frame),
    ("SEG", "pixels cut short", "pixel-count", lambda each: put("PixelData", each.PixelData[:100])(each)),
    ("SEG", "a space of its own", "frame-of-reference", put("FrameOfReferenceUID", "1.2.3")),
    ("SEG", "a displaced frame", "frame-geometry",
     put(f"{FRAMES}/PlanePositionSequence/ImagePositionPatient", [-10, -20, 99])),
    ("SEG", "another grid", "frame-geometry", put("Rows", 31)),
    ("SEG", "too few index values", "dimensions", put(f"{FRAMES}/FrameContentSequence/DimensionIndexValues", [1])),
    ("PR", "a layer that is not there", "graphic-layer", put("GraphicAnnotationSequence/GraphicLayer", "OTHER")),
    ("PR", "one point too many", "graphic-points", put(f"{GRAPHIC}/NumberOfGraphicPoints", 8)),
    ("PR", "a graphic far away", "graphics-in-range", graphic_far_away),
    ("PR", "a text far away", "graphics-in-range",
     put("GraphicAnnotationSequence/TextObjectSequence/BoundingBoxBottomRightHandCorner", [24.0, 99.0])),
    ("PR", "an area from 0,0", "displayed-area",
     put("DisplayedAreaSelectionSequence/DisplayedAreaTopLeftHandCorner", [0, 0])),
    ("PR", "an area beyond the image", "displayed-area",
     put("DisplayedAreaSelectionSequence/DisplayedAreaBottomRightHandCorner", [25, 32])),
    ("PR", "an annotation on a strange image", "annotated-images",
     put("GraphicAnnotationSequence/ReferencedImageSequence/ReferencedSOPInstanceUID", "1.2.3")),
    ("PR", "another shape", "presentation-lut", put("PresentationLUTShape", "LIN OD")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "what", "check", "spoil"), CHANGED, ids=[each[1] for each in CHANGED])
@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")  # made wrong on purpose
def test_a_wrong_value_is_told(kind, what, check, spoil):
    """What is there and wrong."""
    dataset = read(kind)
    spoil(dataset)
    assert check in failing(dataset)


def test_points_are_held_against_the_images_that_are_known():
    """The size of an image counts more than what the report says of it; a report alone is held against itself."""
    dataset = read("SR")
    put_in(REGION, "GraphicData", [1.0, 31.0] * 6)(dataset)
    smaller = {uid: pydicom.dcmread(io.BytesIO(encoded(each))) for uid, each in SOURCES.items()}
    for each in smaller.values():
        each.Rows = 30
    assert {problem.check for problem in check_object(dataset, smaller)} == {"points-in-range"}
    assert check_object(dataset, {}) == ()


@pytest.mark.parametrize("kind", GOOD)
def test_every_check_is_killed_by_something(kind):
    """A check that no mutation makes fail is no check."""
    named = {check for _, _, check in REMOVED} | {check for _, check in CONTENT}
    named |= {check for *_, check in ITEM_ATTRIBUTES} | {each[2] for each in CHANGED}
    assert {check.name for check in (*EVERY_OBJECT, *CHECKS[kind])} - named == set()


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.filterwarnings("ignore:The value length", "ignore:Invalid value for VR")  # made wrong on purpose
def test_no_problem_quotes_a_value(kind):
    """Sentences name attributes and rules; a patient's name stays out of them, whatever is wrong."""
    dataset = read(kind)
    dataset.PatientID = dataset.AccessionNumber = dataset.SeriesDescription = dataset.ContentLabel = "SECRET" * 20
    dataset.InstanceNumber = None
    problems = check_object(dataset, SOURCES)
    assert problems
    assert not any("SECRET" in problem.sentence for problem in problems)


TOGETHER = [
    ("two patients", "one-patient", "PR", put("PatientID", "B-0002")),
    (
        "one series",
        "series-of-one-kind",
        "PR",
        put("SeriesInstanceUID", read("SEG").SeriesInstanceUID),
    ),
    ("one UID", "series-of-one-kind", "PR", put("SOPInstanceUID", read("SEG").SOPInstanceUID)),
    ("a segment by another name", "tracking-across-objects", "SEG", put("SegmentSequence/TrackingID", "other")),
    ("a graphic of another lesion", "tracking-across-objects", "PR", put(f"{GRAPHIC}/TrackingUID", "1.2.3")),
    ("a segmentation nobody reports", "segments-in-report", "SEG", put("SOPInstanceUID", "1.2.3")),
    ("a segment nobody reports", "segments-in-report", "SEG", put("SegmentSequence/SegmentNumber", 9)),
]


def test_good_objects_belong_together():
    """Report, segmentation and presentation state of one analysis, and none at all."""
    assert check_together([read(kind) for kind in GOOD]) == ()
    assert check_together([]) == ()


@pytest.mark.parametrize(("what", "check", "kind", "spoil"), TOGETHER, ids=[each[0] for each in TOGETHER])
def test_objects_that_do_not_belong_together_are_told(what, check, kind, spoil):
    """One of them is made another's."""
    objects = {each: read(each) for each in GOOD}
    spoil(objects[kind])
    assert check in {problem.check for problem in check_together(list(objects.values()))}


def test_a_drawing_without_a_report_is_told():
    """A presentation state only repeats what a report says."""
    assert {problem.check for problem in check_together([read("PR")])} == {"report-beside"}
