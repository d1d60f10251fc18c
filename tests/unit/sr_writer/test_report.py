"""The report says what was found, what is absent and what was not done, and keeps the three apart."""

import dataclasses
import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary

from inference.findings import Agreement, Analysis, Defect, Exclusion, HeaderCheck, QualityFlag, VolumeAnalysis
from sr_writer import codes
from sr_writer.evaluations import NOTHING_TO_ANALYSE
from sr_writer.provenance import device_uid
from sr_writer.wording import RESEARCH_USE_ONLY
from tests.builders.analyses import (
    CASCADE,
    EQUIPMENT,
    UNET,
    WHEN,
    analysis_of,
    classified,
    detected,
    encode,
    excluded,
    failed,
    headers_of,
    lesion,
    refused,
    segmented,
    volume_of,
)
from tests.builders.datasets import encoded, enhanced_mr, mr_series, radiograph, uid

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(2, 8, 6), size=(3, 6, 7))
SECOND = lesion(SHAPE, start=(1, 20, 15), size=(2, 4, 4))
IMAGES = mr_series(SHAPE)


def results_of(analysis, *images):
    """Results by modality, written and read again."""
    results = encode(analysis, headers_of(*images), EQUIPMENT, WHEN)
    return {each.Modality: pydicom.dcmread(io.BytesIO(encoded(each))) for each in results}


def report_of(analysis, *images):
    """The report, written and read again."""
    return hd.sr.srread(io.BytesIO(encoded(results_of(analysis, *images)["SR"])))


def children(item, name, value_type=None):
    """Direct children of a content item with this concept name."""
    return [
        child
        for child in item.get("ContentSequence", [])
        if child.ConceptNameCodeSequence[0].CodeValue == name.value
        and (value_type is None or child.ValueType == value_type)
    ]


def evaluations(report):
    """The container of qualitative evaluations."""
    (container,) = children(report, codes.QUALITATIVE_EVALUATIONS)
    return container


def said(report):
    """(question, answer) of every coded evaluation, as code values."""
    return [
        (item.ConceptNameCodeSequence[0].CodeValue, item.ConceptCodeSequence[0].CodeValue)
        for item in evaluations(report).ContentSequence
        if item.ValueType == "CODE"
    ]


def texts(item):
    """All texts below a content item."""
    return [element.value for element in item.iterall() if element.keyword == "TextValue"]


def test_lesions_come_back_with_values_and_places():
    """A reader gets volume, axes, site and outline of each lesion as they were given."""
    content = report_of(analysis_of(IMAGES, segmented(FIRST, SECOND)), *IMAGES).content
    volumetric = content.get_volumetric_roi_measurement_groups()
    planar = content.get_planar_roi_measurement_groups()
    assert len(volumetric) == len(planar) == 2
    for number, (whole, outline) in enumerate(zip(volumetric, planar, strict=True), start=1):
        (volume,) = whole.get_measurements(name=dictionary.SCT.Volume)
        (long_axis,) = outline.get_measurements(name=codes.LONG_AXIS)
        (short_axis,) = outline.get_measurements(name=codes.SHORT_AXIS)
        assert (volume.value, volume.unit.value) == (float(number), "ml")
        assert (long_axis.value, short_axis.value) == (12.5, 7.25)
        assert outline.finding_type == codes.NEOPLASM
        assert outline.finding_sites[0].topographical_modifier is None
        assert outline.finding_sites[0].value == codes.BRAIN
        assert whole.tracking_uid == outline.tracking_uid


def test_tracking_pairs_are_equal_in_all_objects():
    """A lesion has one tracking identifier and UID in report, segmentation and presentation state."""
    results = results_of(analysis_of(IMAGES, segmented(FIRST, SECOND)), *IMAGES)
    report = hd.sr.srread(io.BytesIO(encoded(results["SR"])))
    in_report = {
        (group.tracking_identifier, group.tracking_uid) for group in report.content.get_planar_roi_measurement_groups()
    }
    in_seg = {(item.TrackingID, item.TrackingUID) for item in results["SEG"].SegmentSequence}
    in_state = {
        (graphic.TrackingID, graphic.TrackingUID)
        for annotation in results["PR"].GraphicAnnotationSequence
        for graphic in annotation.GraphicObjectSequence
    }
    assert in_report == in_seg == in_state
    assert len(in_report) == 2


def test_outlines_are_the_same_numbers_in_report_and_presentation_state():
    """Every outline of the report is in the presentation state, on the same image, number for number."""
    results = results_of(analysis_of(IMAGES, segmented(FIRST, SECOND)), *IMAGES)
    report = hd.sr.srread(io.BytesIO(encoded(results["SR"])))
    drawn = {
        (annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID, tuple(graphic.GraphicData))
        for annotation in results["PR"].GraphicAnnotationSequence
        for graphic in annotation.GraphicObjectSequence
    }
    for group in report.content.get_planar_roi_measurement_groups():
        image = group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert (image, tuple(group.roi.GraphicData)) in drawn


def test_the_drawn_outline_is_the_largest():
    """The report draws the outline on the slice where the axes were measured."""
    report = report_of(analysis_of(IMAGES, segmented(FIRST)), *IMAGES)
    (group,) = report.content.get_planar_roi_measurement_groups()
    image = group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert image == IMAGES[int(FIRST.sum((1, 2)).argmax())].SOPInstanceUID


def test_segments_are_referenced_by_number():
    """The n-th lesion refers to segment n of the segmentation that is sent before the report."""
    results = results_of(analysis_of(IMAGES, segmented(FIRST, SECOND)), *IMAGES)
    report = hd.sr.srread(io.BytesIO(encoded(results["SR"])))
    for number, group in enumerate(report.content.get_volumetric_roi_measurement_groups(), start=1):
        (reference,) = children(group[0], dictionary.DCM.ReferencedSegment)
        (item,) = reference.ReferencedSOPSequence
        assert item.ReferencedSOPInstanceUID == results["SEG"].SOPInstanceUID
        assert item.ReferencedSegmentNumber == number


@pytest.mark.parametrize(
    ("analysis", "images"),
    [
        (analysis_of(IMAGES, classified("modality", "mr"), segmented(FIRST, SECOND), failed("other")), IMAGES),
        (analysis_of(mr_series(SHAPE, FrameOfReferenceUID=None), segmented(FIRST)), IMAGES),
        (analysis_of([radiograph()], detected((1, 2, 9, 12), (3, 3, 4, 4))), [radiograph()]),
        (analysis_of([enhanced_mr(SHAPE)], segmented(FIRST)), [enhanced_mr(SHAPE)]),
    ],
    ids=["lesions", "no geometry", "boxes", "multi-frame"],
)
def test_every_tracking_uid_has_read_only_coordinates(analysis, images):
    """OHIF shows a report only if each merged group has an SCOORD, read only only beyond five points."""
    report = report_of(analysis, *images)
    (measurements,) = children(report, codes.IMAGING_MEASUREMENTS)
    lengths = {}
    for group in measurements.ContentSequence:
        (tracking,) = children(group, dictionary.DCM.TrackingUniqueIdentifier)
        found = [len(item.GraphicData) // 2 for item in group.ContentSequence if item.ValueType == "SCOORD"]
        lengths.setdefault(tracking.UID, []).extend(found)
        (identifier,) = children(group, dictionary.DCM.TrackingIdentifier)
        assert not identifier.TextValue.lower().startswith("cornerstone")
    assert all(points and min(points) > 5 for points in lengths.values())


def test_without_a_segmentation_every_outline_is_in_the_report():
    """No geometry, no segmentation: one group holds the outlines of all slices."""
    images = mr_series(SHAPE, ImagePositionPatient=None, ImageOrientationPatient=None)
    report = report_of(analysis_of(images, segmented(FIRST)), *images)
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    on = {region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for region in group.roi}
    assert on == {images[index].SOPInstanceUID for index in (2, 3, 4)}


def test_a_region_on_a_frame_names_the_frame():
    """An outline on a multi-frame image says which frame."""
    image = enhanced_mr(SHAPE)
    report = report_of(analysis_of([image], segmented(FIRST)), image)
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 3


def test_a_box_has_nine_points_and_its_corners():
    """A detected region is a closed polyline around the pixels it covers."""
    report = report_of(analysis_of([radiograph()], detected((0, 38, 1, 40))), radiograph())
    (group,) = report.content.get_planar_roi_measurement_groups()
    points = np.reshape(group.roi.GraphicData, (-1, 2))
    assert len(points) == 9
    assert (*points.min(axis=0), *points.max(axis=0)) == (0, 38, 1, 40)
    assert group.finding_type == codes.ABNORMAL


PRESENT = (codes.NEOPLASM.value, codes.PRESENT.value)
ABSENT = (codes.NEOPLASM.value, codes.ABSENT.value)
NOT_ATTEMPTED = (codes.SUMMARY_OF_DETECTIONS.value, codes.NOT_ATTEMPTED.value)
FAILED = (codes.SUMMARY_OF_DETECTIONS.value, codes.FAILED.value)


@pytest.mark.parametrize(
    ("run", "answer", "summary", "completion"),
    [
        (segmented(FIRST), PRESENT, codes.ALL_SUCCEEDED_WITH_FINDINGS, "COMPLETE"),
        (segmented(), ABSENT, codes.ALL_SUCCEEDED_WITHOUT_FINDINGS, "COMPLETE"),
        (refused(), NOT_ATTEMPTED, codes.NONE_SUCCEEDED, "PARTIAL"),
        (failed(), FAILED, codes.NONE_SUCCEEDED, "PARTIAL"),
    ],
    ids=["found", "absent", "not attempted", "failed"],
)
def test_answers_stay_different(run, answer, summary, completion):
    """Found, absent, refused and failed each say one thing, and none of the others."""
    report = report_of(analysis_of(IMAGES, run), *IMAGES)
    assert set(said(report)) & {PRESENT, ABSENT, NOT_ATTEMPTED, FAILED} == {answer}
    assert (codes.SUMMARY.value, summary.value) in said(report)
    assert report.CompletionFlag == completion


@pytest.mark.parametrize(
    ("runs", "summary"),
    [
        ((segmented(FIRST), failed("other")), codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS),
        ((segmented(), failed("other")), codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS),
    ],
)
def test_a_partial_analysis_is_summed_up_as_one(runs, summary):
    """What failed beside what worked shows in the summary and the completion flag."""
    report = report_of(analysis_of(IMAGES, *runs), *IMAGES)
    assert (codes.SUMMARY.value, summary.value) in said(report)
    assert report.CompletionFlag == "PARTIAL"


@pytest.mark.parametrize("run", [refused(reason="No axial plane."), failed(reason="Out of memory.")])
def test_reasons_are_told(run):
    """Why a stage did not answer is a text in the report."""
    report = report_of(analysis_of(IMAGES, run), *IMAGES)
    assert run.reason in texts(report)


@pytest.mark.parametrize(
    ("stage", "label", "question", "answer"),
    [
        ("modality", "mr", codes.MODALITY, ("MR", "DCM")),
        ("modality", "xr", codes.MODALITY, ("DX", "DCM")),
        ("MRI region", "brain", codes.TARGET_REGION, ("12738006", "SCT")),
        ("x-ray region", "wrist", codes.TARGET_REGION, ("74670003", "SCT")),
        ("knee plane", "sagittal", codes.IMAGE_VIEW, ("30730003", "SCT")),
        ("sex of the hand", "unheard of class", codes.CLASSIFICATION, ("unheard of class", codes.PRIVATE_SCHEME)),
    ],
)
def test_classifications_are_coded(stage, label, question, answer):
    """Each answer of the cascade is coded, with its score and the images it was seen on."""
    report = report_of(analysis_of(IMAGES, classified(stage, label, 0.875, (1, 4))), *IMAGES)
    (item,) = children(evaluations(report), question)
    code = item.ConceptCodeSequence[0]
    (score,) = children(item, codes.SCORE)
    seen = [each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for each in children(item, codes.SOURCE)]
    assert (code.CodeValue, code.CodingSchemeDesignator) == answer
    assert score.MeasuredValueSequence[0].NumericValue == 0.875
    assert seen == [IMAGES[1].SOPInstanceUID, IMAGES[4].SOPInstanceUID]


def test_our_coding_scheme_is_declared():
    """A private code is no use to a reader who does not know whose it is."""
    report = report_of(analysis_of(IMAGES, refused()), *IMAGES)
    (item,) = report.CodingSchemeIdentificationSequence
    assert item.CodingSchemeDesignator == codes.PRIVATE_SCHEME


@pytest.mark.parametrize(
    ("agreement", "stated", "told"),
    [
        (Agreement.AGREES, "MR", "agrees: the header states MR"),
        (Agreement.DISAGREES, "CT", "disagrees: the header states CT"),
        (Agreement.SILENT, "", "silent: the header states nothing"),
    ],
)
def test_an_answer_stands_beside_what_the_header_says(agreement, stated, told):
    """A reader sees where pixels and header differ."""
    run = dataclasses.replace(classified("modality", "mr"), header=HeaderCheck(agreement, stated))
    assert told in texts(report_of(analysis_of(IMAGES, run), *IMAGES))


@pytest.mark.parametrize(("is_refused", "told"), [(True, "not analysed"), (False, "analysed all the same")])
def test_defects_of_the_pictures_are_told(is_refused, told):
    """With what became of them."""
    flag = QualityFlag(Defect.NOISE, "noise: it is all grain", is_refused)
    analysis = analysis_of(IMAGES, classified("modality", "mr"))
    flagged = dataclasses.replace(analysis, volumes=(dataclasses.replace(analysis.volumes[0], quality=(flag,)),))
    report = report_of(flagged, *IMAGES)
    assert f"noise: it is all grain ({told})" in texts(report)
    assert report.SOPInstanceUID != report_of(analysis, *IMAGES).SOPInstanceUID


def test_excluded_instances_are_listed_with_their_reason():
    """Instances that were not analysed are named under their reason, whatever became of their UID."""
    lost = Exclusion("part-0007", "", "", "The file is cut off.")
    exclusions = (excluded(IMAGES[0]), excluded(IMAGES[1]), lost)
    report = report_of(analysis_of(IMAGES[2:], refused(), exclusions=exclusions), *IMAGES)
    localisers, unreadable = children(evaluations(report), codes.NOT_ANALYSED)
    assert localisers.TextValue == "2: A localiser is not analysed."
    named = [each.UID for each in children(localisers, codes.INSTANCE_NOT_ANALYSED)]
    assert named == [IMAGES[0].SOPInstanceUID, IMAGES[1].SOPInstanceUID]
    assert unreadable.TextValue == "1: The file is cut off."
    assert "ContentSequence" not in unreadable


def test_a_study_of_which_nothing_could_be_analysed_has_a_report():
    """With no volume at all the report is there and says so."""
    exclusions = tuple(excluded(image) for image in IMAGES)
    report = report_of(Analysis(IMAGES[0].StudyInstanceUID, (), exclusions), *IMAGES)
    assert NOTHING_TO_ANALYSE in texts(report)
    assert (codes.SUMMARY.value, codes.NONE_SUCCEEDED.value) in said(report)
    assert children(report, codes.IMAGING_MEASUREMENTS) == []


def test_state_of_the_document():
    """The report is unverified, preliminary, for research, and its root is TID 1500's."""
    report = report_of(analysis_of(IMAGES, segmented()), *IMAGES)
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert RESEARCH_USE_ONLY in texts(report)


@pytest.mark.parametrize(
    ("run", "title"), [(segmented(FIRST), codes.REPORT_TITLE), (segmented(), codes.TITLE_WITHOUT_MEASUREMENTS)]
)
def test_only_a_report_with_measurements_is_called_a_measurement_report(run, title):
    """OHIF goes to the first measurement of a report of that title, and shows nothing if there is none."""
    report = report_of(analysis_of(IMAGES, run), *IMAGES)
    (name,) = report.ConceptNameCodeSequence
    assert (name.CodeValue, name.CodingSchemeDesignator) == (title.value, title.scheme_designator)


def test_every_analysed_image_is_in_library_and_evidence():
    """The image library lists the volume's images once, the evidence all images and the segmentation."""
    extra = mr_series((2, 32, 24), series="other")
    results = results_of(analysis_of(IMAGES, segmented(FIRST)), *IMAGES, *extra)
    (library,) = children(results["SR"], codes.IMAGE_LIBRARY)
    listed = [
        image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for group in library.ContentSequence
        for image in children(group, codes.SOURCE)
    ]
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in results["SR"].CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert listed == [image.SOPInstanceUID for image in IMAGES]
    assert evidence == {image.SOPInstanceUID for image in (*IMAGES, *extra)} | {results["SEG"].SOPInstanceUID}


def test_names_of_the_algorithm_are_equal_everywhere():
    """SR, SEG and Contributing Equipment carry equal strings, also when these had to be cut (IHE AIR 6.5.3.1)."""
    long = dataclasses.replace(UNET, name="a very long name of a network that does not fit at all, " * 2)
    results = results_of(analysis_of(IMAGES, segmented(FIRST, algorithm=long)), *IMAGES)
    in_seg = results["SEG"].SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName
    in_equipment = results["SR"].ContributingEquipmentSequence[0].ManufacturerModelName
    groups = children(children(results["SR"], codes.IMAGING_MEASUREMENTS)[0], dictionary.DCM.MeasurementGroup)
    in_report = {children(group, dictionary.DCM.AlgorithmName)[0].TextValue for group in groups}
    assert in_report == {in_seg} == {in_equipment}


def test_algorithms_observe():
    """Every algorithm that ran is a device observer, with the Device UID of its equipment item."""
    report = report_of(analysis_of(IMAGES, classified("modality", "mr"), segmented()), *IMAGES)
    observers = [item.UID for item in children(report, dictionary.DCM.DeviceObserverUID)]
    assert observers == [device_uid(CASCADE), device_uid(UNET)]


def test_the_node_observes_where_no_algorithm_ran():
    """A report has an observer even when nothing ran."""
    report = report_of(analysis_of(IMAGES, refused()), *IMAGES)
    (model,) = children(report, dictionary.DCM.DeviceObserverModelName)
    assert model.TextValue == EQUIPMENT.model_name


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "25056-3"),
        ({"Modality": "XA"}, "363679005"),
        ({"ProcedureCodeSequence": ("P5-09051", "99LOCAL", "MR head")}, "P5-09051"),
        ({"ProcedureCodeSequence": ("", "", "MR head")}, "25056-3"),
    ],
    ids=["modality", "unknown modality", "procedure code", "empty procedure code"],
)
def test_the_procedure_is_the_studys(attributes, expected):
    """Procedure reported is the study's own code, else what its modality tells."""
    attributes = dict(attributes)
    if "ProcedureCodeSequence" in attributes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = attributes["ProcedureCodeSequence"]
        attributes["ProcedureCodeSequence"] = [item]
    images = mr_series((2, 32, 24), **attributes)
    report = report_of(analysis_of(images, refused()), *images)
    (procedure,) = children(report, codes.PROCEDURE_REPORTED)
    assert procedure.ConceptCodeSequence[0].CodeValue == expected


def test_the_request_is_referenced():
    """Request attributes of the images become the referenced request."""
    request = Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = "RP7", "MRT Schädel"
    images = mr_series((2, 32, 24), RequestAttributesSequence=[request])
    report = report_of(analysis_of(images, refused()), *images)
    (item,) = report.ReferencedRequestSequence
    assert (item.RequestedProcedureID, item.RequestedProcedureDescription) == ("RP7", "MRT Schädel")
    assert item.StudyInstanceUID == images[0].StudyInstanceUID
    assert item.AccessionNumber == ""


def test_two_volumes_have_objects_of_their_own():
    """Each volume with findings has its own segmentation and presentation state, the study one report."""
    other = mr_series(SHAPE, series="other", SeriesNumber=2)
    volumes = tuple(VolumeAnalysis(volume_of(each), (segmented(FIRST),)) for each in (IMAGES, other))
    results = encode(Analysis(uid("study"), volumes), headers_of(*IMAGES, *other), EQUIPMENT, WHEN)
    assert [each.Modality for each in results] == ["SEG", "SEG", "SR", "PR", "PR"]
    assert len({each.SOPInstanceUID for each in results}) == 5
    assert len({each.SeriesInstanceUID for each in results}) == 5
    trackings = {each.SegmentSequence[0].TrackingUID for each in results[:2]}
    assert len(trackings) == 2


def test_a_finding_without_an_algorithm_is_refused():
    """Nobody may find something without saying who."""
    nameless = dataclasses.replace(segmented(FIRST), algorithm=None)
    with pytest.raises(ValueError, match="names no algorithm"):
        encode(analysis_of(IMAGES, nameless), headers_of(*IMAGES), EQUIPMENT, WHEN)


def test_an_empty_segment_is_refused():
    """A lesion without a voxel has no place; it would blank the whole report in a viewer."""
    empty = segmented(np.zeros(SHAPE, dtype=bool))
    with pytest.raises(ValueError, match="holds no voxel"):
        encode(analysis_of(IMAGES, empty), headers_of(*IMAGES), EQUIPMENT, WHEN)
