"""Every kind of analysis over every kind of source makes objects that validators accept."""

import re
import shutil
import subprocess

import pydicom
import pytest

from inference.findings import Analysis
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


#: dciodvfy's names of what this node makes.
_IODS = (
    "Segmentation",
    "Comprehensive3DSR",
    "GrayscaleSoftcopyPresentationState",
    "ColorSoftcopyPresentationState",
    "SCImage",
    "KeyObjectSelectionDocument",
    "EncapsulatedPDF",
)


def _validated(tmp_path, results):
    """Lines of dciodvfy that begin with Error, over all results."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; apt-get install dicom3tools to check objects against their IODs")
    errors = []
    for number, result in enumerate(results):
        path = tmp_path / f"{number}_{result.Modality}.dcm"
        pydicom.dcmwrite(path, result, enforce_file_format=True)
        done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert re.search(rf"^({'|'.join(_IODS)})$", output, re.MULTILINE)
        errors += [f"{result.Modality}: {line}" for line in output.splitlines() if line.startswith("Error")]
    return errors


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
def test_values_obey_their_representation(images, runs, modalities, monkeypatch):
    """Every value can be written under pydicom's strict validation (PS3.5 6.2)."""
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
    results = encode(analysis_of(images, *runs), headers_of(*images), profile=PROFILES["everything"])
    assert {each.Modality for each in results} >= set(modalities.split())
    for result in results:
        assert encoded(result)
        assert result.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
