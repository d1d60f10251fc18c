"""`dicom-node demo` and `dicom-node analyze`, as a new user runs them."""

import datetime
import json
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from dicom_node.phantoms import phantom_studies
from tests.builders.command import run
from tests.builders.network import saved
from tests.builders.results import by_modality, dice, mask_of
from tests.builders.validators import dciodvfy_errors

WHEN = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder the demo left, and what it printed."""
    out = tmp_path_factory.mktemp("demo")
    told = run("demo", "--out", out)
    assert told.returncode == 0, told.stderr + told.stdout
    return out, told.stdout


@pytest.fixture(scope="module")
def studies(demo):
    """The studies of summary.json, by kind."""
    content = json.loads((demo[0] / "summary.json").read_text())
    return {study["kind"]: study for study in content["studies"]}


def test_every_study_is_answered(studies):
    """Six kinds of study, each with all that was expected, and how long it took."""
    assert len(studies) == 6
    for study in studies.values():
        assert list(dict.fromkeys(result["modality"] for result in study["results"])) == study["expected"]
        assert study["settled_s"] >= 1
        assert study["seconds"] > 0


def test_every_returned_object_is_a_file_that_keeps_to_its_iod(demo, studies):
    """summary.json names each with its UIDs; dciodvfy finds no error in any."""
    results = [result for study in studies.values() for result in study["results"]]
    assert {Path(result["path"]) for result in results} == set((demo[0] / "results").rglob("*.dcm"))
    for result in results:
        dataset = dcmread(result["path"])
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (result["sop_class_uid"], result["sop_instance_uid"])
        assert dciodvfy_errors(Path(result["path"])) == []


def test_the_lesion_is_where_it_was_put(studies):
    """The demo's segmentation against the phantom it was made from: Dice of 0.8 at least."""
    phantom = next(
        phantom
        for phantom in phantom_studies(7, WHEN)
        if phantom.study_instance_uid == studies["brain MR"]["study_uid"]
    )
    (segmentation,) = (result["path"] for result in studies["brain MR"]["results"] if result["modality"] == "SEG")
    assert dice(mask_of(Path(segmentation), phantom.instances), phantom.lesion) >= 0.8


def test_there_is_a_picture_of_every_study(studies):
    """PNG files of three panels: wider than high."""
    for study in studies.values():
        with Image.open(study["picture"]) as picture:
            assert picture.format == "PNG"
            assert picture.width > 2 * picture.height


def test_the_table_tells_what_was_not_analysed(demo):
    """A person reads what was seen, found and not done, and why."""
    words = " ".join(demo[1].replace("│", " ").split())
    for told in ("brain MR", "tumour 1", "outside the model's", "settled s"):
        assert told in words


def test_analyze_gives_the_same_answer_without_a_network(tmp_path):
    """A folder with two studies and a text file: both analysed, the file refused with its reason."""
    phantoms = {phantom.kind: phantom for phantom in phantom_studies(401, WHEN)}
    for kind in ("brain MR", "photograph"):
        for instance in phantoms[kind].instances:
            saved(instance, tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("not DICOM")
    told = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--explain")
    assert told.returncode == 0, told.stderr
    assert "notes.txt: it is not a DICOM file" in told.stdout
    brain = phantoms["brain MR"]
    results = by_modality((tmp_path / "out" / brain.study_instance_uid).glob("*.dcm"))
    assert sorted(results) == ["OT", "PR", "SEG", "SR"]
    assert dice(mask_of(results["SEG"][0], brain.instances), brain.lesion) >= 0.8
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["studies"]) == 2
    assert len(summary["refused"]) == 1
    (explained,) = (each for each in summary["studies"] if each["study_instance_uid"] == brain.study_instance_uid)
    assert len(explained["heat_maps"]) == len(explained["volumes"][0]["heat_maps"]) >= 3
    for path in explained["heat_maps"]:
        with Image.open(tmp_path / "out" / path) as picture:
            assert picture.size == (800, 418)
