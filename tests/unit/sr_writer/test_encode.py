"""Every kind of analysis over every kind of source makes objects that validators accept."""

import pydicom
import pytest

from inference.findings import Analysis
from sr_writer.checks import check_object, check_together
from sr_writer.profiles import PROFILES
from tests.builders.analyses import (
    EQUIPMENT,
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
)
from tests.builders.datasets import (
    OBLIQUE,
    colour_ultrasound,
    ct_series,
    encoded,
    enhanced_mr,
    mr_series,
    radiograph,
    secondary_capture,
)
from tests.builders.validators import dciodvfy_errors, errors_of, written

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(2, 8, 6), size=(3, 6, 7))
SECOND = lesion(SHAPE, start=(1, 20, 15), size=(2, 4, 4))
BRAIN = (classified("modality", "mr"), classified("MRI region", "brain"))
WRIST = (classified("modality", "xr"), classified("x-ray region", "wrist"))
BARE = dict.fromkeys(
    (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "SeriesNumber",
        "InstanceNumber",
        "BodyPartExamined",
        "Manufacturer",
        "SpecificCharacterSet",
        "WindowCenter",
        "SliceThickness",
        "SpacingBetweenSlices",
        "PositionReferenceIndicator",
    )
)

#: name: (images, runs, modalities of the results in sending order)
CASES = {
    "found": (mr_series(SHAPE), (*BRAIN, segmented(FIRST, SECOND)), "SEG SR PR"),
    "negative": (mr_series(SHAPE), (*BRAIN, segmented()), "SR"),
    "refused": (mr_series(SHAPE), (refused(),), "SR"),
    "failed": (mr_series(SHAPE), (failed(),), "SR"),
    "mixed": (mr_series(SHAPE), (*BRAIN, segmented(FIRST), failed("other"), refused("third")), "SEG SR PR"),
    "oblique": (mr_series(SHAPE, orientation=OBLIQUE, descending=True), (*BRAIN, segmented(FIRST)), "SEG SR PR"),
    "CT": (ct_series(SHAPE), (segmented(FIRST),), "SEG SR PR"),
    "multi-frame": ([enhanced_mr(SHAPE)], (segmented(FIRST, SECOND),), "SEG SR PR"),
    "no frame of reference": (mr_series(SHAPE, FrameOfReferenceUID=None), (segmented(FIRST),), "SEG SR PR"),
    "bare": (mr_series(SHAPE, **BARE), (*BRAIN, segmented(FIRST)), "SEG SR PR"),
    "sided": (mr_series(SHAPE, BodyPartExamined="KNEE", Laterality="L"), (segmented(FIRST),), "SEG SR PR"),
    "DX": ([radiograph()], (*WRIST, detected((0, 0, 10, 12), (20, 30, 30, 40))), "SR PR"),
    "DX negative": ([radiograph()], (*WRIST, detected()), "SR"),
    "DX bare": ([radiograph(ImagerPixelSpacing=None, PatientOrientation=None)], (detected((1, 1, 5, 5)),), "SR PR"),
    "CR inverted": (
        [radiograph(modality="CR", PhotometricInterpretation="MONOCHROME1", BodyPartExamined=None)],
        (*WRIST, detected((5, 5, 10, 12))),
        "SR PR",
    ),
    "ultrasound": ([colour_ultrasound()], (classified("modality", "us"),), "SR"),
    "colour box": ([secondary_capture()], (detected((1, 1, 9, 9)),), "SR PR"),
}


def results_of(images, runs):
    """Results of one case."""
    return encode(analysis_of(images, *runs), headers_of(*images), EQUIPMENT, WHEN)


@pytest.mark.parametrize(("images", "runs", "modalities"), CASES.values(), ids=CASES)
def test_objects_in_sending_order(images, runs, modalities):
    """A segmentation precedes the report that refers to it; the report is one; presentation states follow."""
    assert [each.Modality for each in results_of(images, runs)] == modalities.split()


@pytest.mark.parametrize("with_pixels", [True, False])
def test_pixels_of_the_sources_are_not_needed(with_pixels):
    """Headers alone make the same objects as whole data sets do."""
    images = mr_series(SHAPE, pixels=FIRST)
    sources = {image.SOPInstanceUID: image for image in images} if with_pixels else headers_of(*images)
    results = encode(analysis_of(images, segmented(FIRST)), sources, EQUIPMENT, WHEN)
    assert [each.Modality for each in results] == ["SEG", "SR", "PR"]


def test_sources_are_left_as_they_were():
    """Encoding changes no header that it was given."""
    images = mr_series(SHAPE, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    sources = headers_of(*images)
    encode(analysis_of(images, segmented(FIRST)), sources, EQUIPMENT, WHEN)
    assert {name: encoded(header) for name, header in sources.items()} == {
        name: encoded(header) for name, header in headers_of(*images).items()
    }


def _validated(tmp_path, results):
    """What dciodvfy finds wrong, over all results."""
    return [f"{path.name}: {error}" for path in written(results, tmp_path) for error in dciodvfy_errors(path)]


@pytest.mark.parametrize(("images", "runs", "modalities"), CASES.values(), ids=CASES)
def test_dciodvfy_finds_no_error(tmp_path, images, runs, modalities):
    """An independent validator finds every object true to its IOD, those of every kind."""
    results = encode(analysis_of(images, *runs), headers_of(*images), profile=PROFILES["everything"])
    assert {each.Modality for each in results} >= {*modalities.split(), "DOC"}
    assert _validated(tmp_path, results) == []


def test_dciodvfy_accepts_a_report_of_exclusions(tmp_path):
    """A study of which nothing was analysed has a valid report."""
    images = mr_series(SHAPE)
    analysis = Analysis(images[0].StudyInstanceUID, (), tuple(excluded(image) for image in images))
    assert _validated(tmp_path, encode(analysis, headers_of(*images), EQUIPMENT, WHEN)) == []


def test_dciodvfy_would_notice(tmp_path):
    """The validator is really asked: an object with a Type 1 attribute missing is an error."""
    (report,) = results_of(mr_series(SHAPE), (refused(),))
    del report.CompletionFlag
    assert _validated(tmp_path, [report])


@pytest.mark.parametrize(("images", "runs", "modalities"), CASES.values(), ids=CASES)
def test_our_own_checks_find_nothing(images, runs, modalities):
    """With the images at hand and without, and all objects together, those of every kind."""
    results = encode(analysis_of(images, *runs), headers_of(*images), profile=PROFILES["everything"])
    assert {each.Modality for each in results} >= set(modalities.split())
    assert check_together(results) == ()
    assert [problem for each in results for problem in check_object(each, headers_of(*images))] == []
    assert [problem for each in results for problem in check_object(each, {})] == []


@pytest.mark.parametrize("tool", ["dsrdump", "DicomSRValidator", "tid1500reader"])
@pytest.mark.parametrize("case", ["found", "DX", "CT"])
def test_readers_of_reports_find_no_error(tmp_path, tool, case):
    """DCMTK, PixelMed (the one checker of templates) and dcmqi read the report."""
    for path in written(results_of(*CASES[case][:2]), tmp_path):
        if "SR" in path.name:
            assert errors_of(tool, path) == []


@pytest.mark.parametrize(("tool", "modality"), [("dcmpschk", "PR"), ("segimage2itkimage", "SEG")])
@pytest.mark.parametrize("case", ["found", "multi-frame"])
def test_readers_of_states_and_segmentations_find_no_error(tmp_path, tool, modality, case):
    """DCMTK reads the presentation state, dcmqi the segmentation."""
    for path in written(results_of(*CASES[case][:2]), tmp_path):
        if modality in path.name:
            assert errors_of(tool, path) == []


def test_pixelmed_would_notice(tmp_path):
    """It is really asked: a finding site by another relationship is an error."""
    results = results_of(*CASES["DX"][:2])
    (report,) = (each for each in results if each.Modality == "SR")
    group = report.ContentSequence[-2].ContentSequence[0]
    (site,) = (each for each in group.ContentSequence if each.ConceptNameCodeSequence[0].CodeValue == "363698007")
    site.RelationshipType = "CONTAINS"
    assert errors_of("DicomSRValidator", written([report], tmp_path)[0])


@pytest.mark.parametrize(("images", "runs", "modalities"), CASES.values(), ids=CASES)
def test_values_obey_their_representation(images, runs, modalities, monkeypatch):
    """Every value can be written under pydicom's strict validation (PS3.5 6.2)."""
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
    results = encode(analysis_of(images, *runs), headers_of(*images), profile=PROFILES["everything"])
    assert {each.Modality for each in results} >= set(modalities.split())
    for result in results:
        assert encoded(result)
        assert result.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
