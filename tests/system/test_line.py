"""A study goes in by DCMTK, results come back into the PACS, and say what is true of the phantom."""

import datetime

import numpy as np
import pytest
from pydicom import dcmread

from dicom_node.phantoms import phantom_studies
from tests.builders.dcmtk import dcmtk
from tests.builders.network import HOST, saved
from tests.builders.results import by_modality, dice, mask_of, numbers_of, texts_of
from tests.builders.validators import dciodvfy_errors

WHEN = datetime.datetime(2026, 11, 20, 9, 30, tzinfo=datetime.UTC)
KINDS = ("brain MR", "knee MR", "hand radiograph", "abdomen CT", "colour ultrasound", "photograph")


@pytest.fixture(scope="module")
def studies():
    """One phantom study of each kind, by kind."""
    return {study.kind: study for study in phantom_studies(101, WHEN)}


@pytest.fixture(scope="module")
def answered(line, studies, tmp_path_factory):
    """Every phantom study, sent at once, and the results of each, by kind."""
    for study in studies.values():
        folder = tmp_path_factory.mktemp("sent")
        line.send([saved(instance, folder) for instance in study.instances])
    return {kind: line.answer(study.study_instance_uid) for kind, study in studies.items()}


@pytest.fixture(scope="module")
def brain(answered):
    """The results of the brain study, by modality."""
    return by_modality(answered["brain MR"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_expected_result_comes_back(answered, studies, kind):
    """One report for every study; where there is a lesion, a segmentation before it, and after it a presentation state
    and snapshots."""
    arrived = [str(dcmread(path, stop_before_pixels=True).Modality) for path in answered[kind]]
    assert list(dict.fromkeys(arrived)) == list(studies[kind].expected)
    assert arrived.count("SR") == 1


def test_the_segmentation_lies_on_the_lesion(brain, studies):
    """Read back by highdicom and by what it refers to, it overlaps the truth with a Dice of 0.8 at least."""
    study = studies["brain MR"]
    (segmentation,) = brain["SEG"]
    assert dice(mask_of(segmentation, study.instances), study.lesion) >= 0.8


def test_the_segmentation_has_the_geometry_of_its_source(brain, studies):
    """Orientation, spacing, positions and Frame of Reference are those of the images."""
    source, result = studies["brain MR"].instances, dcmread(brain["SEG"][0])
    shared = result.SharedFunctionalGroupsSequence[0]
    assert result.FrameOfReferenceUID == source[0].FrameOfReferenceUID
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == source[0].ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == source[0].PixelSpacing
    positions = {tuple(instance.ImagePositionPatient) for instance in source}
    for frame in result.PerFrameFunctionalGroupsSequence:
        assert tuple(frame.PlanePositionSequence[0].ImagePositionPatient) in positions


def test_the_report_measures_the_lesion(brain, studies):
    """Its volume is that of the phantom within a fifth, and the segmentation it measures is named."""
    (report,), (segmentation,) = brain["SR"], brain["SEG"]
    (volume,) = numbers_of(report, "Volume")
    assert volume == pytest.approx(studies["brain MR"].lesion_volume_ml, rel=0.2)
    assert str(dcmread(segmentation).SOPInstanceUID) in str(dcmread(report))


def test_the_report_says_what_was_not_done(brain, answered):
    """A stage without its package, and a picture outside the models' world, are told with the reason."""
    assert "is not installed" not in texts_of(brain["SR"][0])
    assert "outside the model's world" in texts_of(answered["photograph"][0])
    assert "xray-abnormality-yolov5 is not installed" in texts_of(answered["hand radiograph"][0])


def test_the_presentation_state_refers_to_the_images(brain, studies):
    """The GSPS draws on images of the study, and on no other."""
    (state,) = brain["PR"]
    drawn = {
        str(image.SOPInstanceUID if "SOPInstanceUID" in image else image.ReferencedSOPInstanceUID)
        for annotation in dcmread(state).GraphicAnnotationSequence
        for image in annotation.ReferencedImageSequence
    }
    lesion = studies["brain MR"].lesion
    touched = {
        str(instance.SOPInstanceUID)
        for instance, mask in zip(studies["brain MR"].instances, lesion, strict=True)
        if mask.any()
    }
    assert drawn
    assert len(drawn & touched) >= 0.8 * len(touched)
    assert drawn <= {str(instance.SOPInstanceUID) for instance in studies["brain MR"].instances}


@pytest.mark.parametrize("kind", KINDS)
def test_results_belong_to_the_study_and_not_to_its_series(answered, studies, kind):
    """Same patient and study, new series of one kind of object each, research only, unverified."""
    source = studies[kind].instances[0]
    series, kinds = set(), set()
    for path in answered[kind]:
        result = dcmread(path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
            assert result[keyword].value == source[keyword].value
        assert result.SeriesInstanceUID != source.SeriesInstanceUID
        series.add(result.SeriesInstanceUID)
        kinds.add(result.SOPClassUID)
        if result.Modality == "SR":
            assert result.VerificationFlag == "UNVERIFIED"
    assert len(series) == len(kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(answered, kind):
    """Every object that came back keeps to its IOD."""
    assert {path.stem: dciodvfy_errors(path) for path in answered[kind]} == {path.stem: [] for path in answered[kind]}


def test_own_results_coming_back_are_recorded_and_not_analysed(line, answered, studies):
    """The PACS routes the results back: they are accepted, and the study stays as it was."""
    uid = studies["brain MR"].study_instance_uid
    before = line.node.study(uid)
    line.send(answered["brain MR"])
    after = line.node.study(uid)
    assert after["instance_count"] == before["instance_count"] + len(answered["brain MR"])
    assert (after["state"], after["image_count"]) == (before["state"], before["image_count"])


def test_the_same_images_again_change_nothing(line, answered, studies, tmp_path):
    """A study sent twice is the same study, analysed once."""
    study = studies["hand radiograph"]
    before = line.node.study(study.study_instance_uid)
    line.send([saved(instance, tmp_path) for instance in study.instances])
    assert line.node.study(study.study_instance_uid) == before
    assert len(answered["hand radiograph"]) == 1


def test_compressed_images_are_analysed(line, tmp_path):
    """RLE arrives as RLE, and is outlined as well as plain pixels are."""
    study = next(study for study in phantom_studies(102, WHEN) if study.kind == "brain MR")
    plain = [saved(instance, tmp_path / "plain") for instance in study.instances]
    packed = []
    for path in plain:
        packed.append(tmp_path / f"{path.stem}.rle.dcm")
        assert dcmtk("dcmcrle", path, packed[-1]).returncode == 0
    line.send(packed, "-xr")
    results = by_modality(line.answer(study.study_instance_uid))
    assert dice(mask_of(results["SEG"][0], study.instances), study.lesion) >= 0.8


def test_late_images_open_the_study_again(line, tmp_path):
    """Half a study is analysed; the other half comes later, and the whole is analysed once more."""
    study = next(study for study in phantom_studies(103, WHEN) if study.kind == "knee MR")
    paths = [saved(instance, tmp_path) for instance in study.instances]
    line.send(paths[:8])
    first = line.answer(study.study_instance_uid)
    line.send(paths[8:])
    both = line.answer(study.study_instance_uid)
    assert len(first) == 1
    assert len(both) == 2
    slices = [volume["slices"] for volume in line.node.study(study.study_instance_uid)["summary"]["volumes"]]
    assert slices == [16]


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("STRANGER", "AINODE", "Calling AE Title Not Recognized"),
        ("PACS", "OTHER", "Called AE Title Not Recognized"),
    ],
)
def test_strangers_are_rejected_with_the_standard_reason(line, calling, called, reason):
    """An unknown peer, or one that means another node, hears which of the two it is."""
    told = dcmtk("echoscu", "-aet", calling, "-aec", called, HOST, line.node.port)
    assert told.returncode != 0
    assert reason in told.stderr + told.stdout


def test_echo_is_answered(line):
    """C-ECHO of DCMTK succeeds."""
    assert dcmtk("echoscu", "-aet", "PACS", "-aec", "AINODE", HOST, line.node.port).returncode == 0


def test_nothing_of_the_patient_is_in_the_log(line, answered, studies):
    """Neither name nor ID of any patient; the Study Instance UIDs are."""
    log = line.node.log.read_text()
    assert answered
    for study in studies.values():
        assert study.study_instance_uid in log
        assert str(study.instances[0].PatientName) not in log
        assert study.instances[0].PatientID not in log


def test_masks_of_no_overlap_have_no_dice():
    """The measure of this module tells right from wrong."""
    left = np.zeros((2, 4, 4), np.bool_)
    left[0, :2] = True
    assert dice(left, left) == 1.0
    assert dice(left, ~left) == 0.0
