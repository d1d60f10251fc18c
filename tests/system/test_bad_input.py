"""Bad input: always a status or a refusal that says what was wrong with which instance; the rest is analysed."""

import datetime
from copy import deepcopy

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, JPEG2000Lossless

from dicom_node.phantoms import phantom_studies
from dicom_node.sending import send_folder
from tests.builders.dcmtk import dcmtk
from tests.builders.network import HOST, dataset_bytes, saved
from tests.builders.results import by_modality, dice, mask_of, numbers_of, texts_of

WHEN = datetime.datetime(2026, 11, 20, 10, 0, tzinfo=datetime.UTC)


def brain_study(seed):
    """A brain with a lesion, no two tests the same."""
    return next(study for study in phantom_studies(seed, WHEN) if study.kind == "brain MR")


def sent_without_complaint(folder, destination):
    """Send a folder as the PACS; every file has been answered with success."""
    results = list(send_folder(folder, destination, "PACS"))
    assert [result.problem for result in results] == [""] * len(results)


def spoiled(instance, series):
    """A copy of an instance, of a series of its own, ready to be made bad."""
    bad = deepcopy(instance)
    bad.SeriesInstanceUID = f"{instance.SeriesInstanceUID[:50]}.{series}"
    bad.SOPInstanceUID = f"{instance.SOPInstanceUID[:50]}.{series}"
    bad.file_meta.MediaStorageSOPInstanceUID = bad.SOPInstanceUID
    return bad


def without_pixels(instance):
    """No Pixel Data at all."""
    del instance.PixelData


def cut_short(instance):
    """Half of the pixels its header promises."""
    instance.PixelData = instance.PixelData[: len(instance.PixelData) // 2]


def as_video(instance):
    """A transfer syntax nobody here decodes."""
    instance.PixelData = encapsulate([b"\0\0\1\xb3" + bytes(60)])
    instance["PixelData"].is_undefined_length = True
    instance.file_meta.TransferSyntaxUID = MPEG2MPML


def as_broken_jpeg_2000(instance):
    """A code stream that is none."""
    instance.PixelData = encapsulate([bytes(range(100))])
    instance["PixelData"].is_undefined_length = True
    instance.file_meta.TransferSyntaxUID = JPEG2000Lossless


def with_foolish_size(instance):
    """More pixels than any memory holds."""
    instance.Rows = instance.Columns = 65535
    instance.NumberOfFrames = 60000


WAYS = (without_pixels, cut_short, as_video, as_broken_jpeg_2000, with_foolish_size)


@pytest.mark.parametrize("spoil", WAYS)
def test_the_rest_of_the_study_is_analysed(line, destination, tmp_path, spoil):
    """One bad instance beside a good series: the lesion is outlined, and report and status name the bad one."""
    study = brain_study(200 + WAYS.index(spoil))
    bad = spoiled(study.instances[0], 66)
    spoil(bad)
    for instance in (*study.instances, bad):
        saved(instance, tmp_path)
    sent_without_complaint(tmp_path, destination)
    results = by_modality(line.answer(study.study_instance_uid))
    assert dice(mask_of(results["SEG"][0], study.instances), study.lesion) >= 0.8
    (exclusion,) = line.node.study(study.study_instance_uid)["summary"]["exclusions"]
    assert exclusion["sop_instance_uid"] == bad.SOPInstanceUID
    assert exclusion["reason"] in texts_of(results["SR"][0])


def test_images_without_a_place_are_classified_and_not_outlined(line, destination, tmp_path):
    """A series without geometry still gets its report: no volume in mL is made up."""
    study = brain_study(220)
    for instance in study.instances:
        del instance.ImagePositionPatient, instance.ImageOrientationPatient, instance.FrameOfReferenceUID
        saved(instance, tmp_path)
    sent_without_complaint(tmp_path, destination)
    results = by_modality(line.answer(study.study_instance_uid))
    assert len(results["SR"]) == 1
    assert numbers_of(results["SR"][0], "Volume") == []


def test_the_smaller_part_of_two_patients_is_left_out(line, destination, tmp_path):
    """Two patients under one Study Instance UID: the one with most images is analysed, the other named as left out."""
    study = brain_study(221)
    stranger = spoiled(study.instances[0], 67)
    stranger.PatientID, stranger.PatientName = "OTHER-1", "Other^Person"
    for instance in (*study.instances, stranger):
        saved(instance, tmp_path)
    sent_without_complaint(tmp_path, destination)
    results = by_modality(line.answer(study.study_instance_uid))
    (exclusion,) = line.node.study(study.study_instance_uid)["summary"]["exclusions"]
    assert exclusion["sop_instance_uid"] == stranger.SOPInstanceUID
    assert "Other" not in texts_of(results["SR"][0])


def test_two_patients_in_equal_parts_are_held(line, destination, tmp_path):
    """Nobody can say whose study it is: it waits for a person, with the reason, and nothing is sent."""
    study = brain_study(222)
    for number, instance in enumerate(study.instances):
        if number % 2:
            instance.PatientID = "OTHER-2"
        saved(instance, tmp_path)
    sent_without_complaint(tmp_path, destination)
    assert line.answer(study.study_instance_uid, state="held") == []
    assert "several patients" in line.node.study(study.study_instance_uid)["reason"]


def test_what_is_no_dicom_is_answered_with_a_status(line, destination, tmp_path):
    """Garbage that says it is an MR image is answered 0xC000, nothing of it is recorded, and the node lives on."""
    study = brain_study(223)
    path = saved(study.instances[0], tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: -len(dataset_bytes(path))] + np.random.default_rng(1).bytes(5000))
    (result,) = send_folder(path, destination, "PACS")
    assert "0xC000" in result.problem
    assert study.study_instance_uid not in line.node.studies()
    assert dcmtk("echoscu", "-aet", "PACS", "-aec", "AINODE", HOST, line.node.port).returncode == 0


def test_a_study_without_images_is_listed_and_not_analysed(line, destination, tmp_path):
    """A report that somebody else made is kept and recorded; there is nothing to analyse."""
    study = brain_study(224)
    line.send([saved(instance, tmp_path / "images") for instance in study.instances])
    report = by_modality(line.answer(study.study_instance_uid))["SR"][0]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    copy = foreign / "report.dcm"
    copy.write_bytes(report.read_bytes())
    uid = f"{study.study_instance_uid[:50]}.9"
    changed = ("-m", f"StudyInstanceUID={uid}", "-m", "SOPInstanceUID=1.2.3.4.5", "-nb")
    assert dcmtk("dcmodify", *changed, copy).returncode == 0
    sent_without_complaint(foreign, destination)
    assert line.node.study(uid)["state"] == "nothing to analyse"
