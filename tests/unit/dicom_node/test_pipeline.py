"""One study: read, analysed, encoded, summarised; and the same for a folder of them, without a network."""

import datetime
import json
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from dicom_node.analysis_settings import SHIPPED_CASCADE
from dicom_node.offline import analyse_folder, find_studies
from dicom_node.phantoms import phantom_studies
from dicom_node.pipeline import Engine, analyse_study
from dicom_node.reader import LoadSettings
from dicom_node.summary import StudySummary, summarise
from inference.findings import Agreement, HeaderCheck, Outcome, Task
from inference.models import load
from inference.registry import open_package
from inference.stages import Stage, load_cascade
from sr_writer.profiles import STANDARD
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, classified, excluded, failed, lesion, segmented
from tests.builders.datasets import mr_series
from tests.builders.network import saved
from tests.builders.packages import write_package

NOON = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def engine():
    """The shipped cascade over a shelf without a single package."""
    return Engine(LoadSettings(), load_cascade(SHIPPED_CASCADE), {}, EQUIPMENT, {STANDARD: ("PACS",)})


@pytest.fixture(scope="module")
def knee():
    """A phantom study of 16 slices."""
    return next(study for study in phantom_studies(11, NOON) if study.kind == "knee MR")


def test_without_models_every_stage_is_refused_and_reported(engine, knee, tmp_path):
    """The study still gets its report, which says what was not done."""
    paths = [saved(instance, tmp_path) for instance in knee.instances]
    analysed = analyse_study(knee.study_instance_uid, paths, engine, WHEN)
    assert analysed.analysis.outcome is Outcome.NOT_ATTEMPTED
    assert [str(each.dataset.Modality) for each in analysed.objects] == ["SR"]
    summary = summarise(analysed.analysis)
    assert (summary.seen, summary.found) == ("nothing known", "")
    assert "cascade-resnet50 is not installed" in summary.not_analysed


def test_a_stage_in_shadow_is_recorded_and_sent_to_nobody(engine, knee, tmp_path):
    """The summary has what it would have said; outcome and result objects are those without it."""
    paths = [saved(instance, tmp_path) for instance in knee.instances]
    model = load(open_package(write_package(tmp_path / "p")))
    candidate = Stage(name="candidate", task=Task.CLASSIFICATION, package="p@1.0.0", question="modality", shadow=True)
    broken = candidate.model_copy(update={"name": "broken", "question": "colour"})
    cascade = engine.cascade.model_copy(update={"stages": (candidate, *engine.cascade.stages, broken)})
    shadowed = analyse_study(
        knee.study_instance_uid, paths, replace(engine, cascade=cascade, shelf={"p@1.0.0": model}), WHEN
    )
    plain = analyse_study(knee.study_instance_uid, paths, engine, WHEN)
    assert [each.dataset for each in shadowed.objects] == [each.dataset for each in plain.objects]
    assert shadowed.analysis.outcome is plain.analysis.outcome
    (volume,) = summarise(shadowed.analysis).volumes
    assert [(stage.stage, stage.outcome) for stage in volume.shadow] == [
        ("candidate", "complete"),
        ("broken", "not attempted"),
    ]
    assert volume.shadow[0].label in ("ct", "mr")
    assert "candidate" not in {stage.stage for stage in volume.stages}


def test_a_study_without_a_single_readable_file_has_no_result(engine, tmp_path):
    """And does not raise: what was wrong is in the exclusions."""
    (tmp_path / "a.dcm").write_text("nothing")
    analysed = analyse_study("1.2.3", [tmp_path / "a.dcm"], engine, WHEN)
    assert analysed.objects == ()
    assert [exclusion.reason for exclusion in analysed.analysis.exclusions] == [
        "is not a DICOM file (PS3.10): it has no DICM prefix"
    ]


def test_a_summary_has_words_and_numbers_for_everything():
    """What was seen, found, and not done, each with its reason, and back from JSON."""
    series = mr_series((6, 32, 24))
    mask = lesion((6, 32, 24), start=(1, 4, 4), size=(3, 8, 8))
    analysis = analysis_of(
        series,
        classified("modality", "mr"),
        segmented(mask),
        failed("second look"),
        exclusions=[excluded(series[0], "is a localizer")],
    )
    summary = summarise(analysis)
    assert summary.seen == "mr (0.97)"
    assert summary.found == "tumour 1 (1.0 ml, 12.5 mm, 7.2 mm)"
    assert summary.not_analysed == "second look: The model ran out of memory.; is a localizer"
    assert summary.outcome == "partial"
    assert StudySummary.model_validate_json(summary.model_dump_json()) == summary


def test_a_summary_tells_where_header_and_pixels_differ():
    """In the sentence, and as a field for machines."""
    run = replace(classified("modality", "mr"), header=HeaderCheck(Agreement.DISAGREES, "CT"))
    summary = summarise(analysis_of(mr_series(), run))
    assert summary.seen == "mr (0.97, but the header says CT)"
    assert (summary.volumes[0].stages[0].header, summary.volumes[0].stages[0].stated) == ("disagrees", "CT")


def test_pictures_that_show_nothing_are_refused(engine, tmp_path):
    """Blank slices are not even asked about; the report says so."""
    series = mr_series((3, 64, 64), pixels=np.zeros((3, 64, 64)))
    analysed = analyse_study(series[0].StudyInstanceUID, [saved(each, tmp_path) for each in series], engine, WHEN)
    assert "blank" in summarise(analysed.analysis).not_analysed
    assert summarise(analysed.analysis).volumes[0].quality == ("blank: 100.0% of it has one grey level",)


def test_looked_and_found_nothing_is_said():
    """It is not the same as nothing looked for."""
    series = mr_series()
    assert summarise(analysis_of(series, segmented())).found == "brain tumour: none found"
    assert summarise(analysis_of(series, classified("modality", "mr"))).found == ""


@pytest.fixture
def mixed(knee, tmp_path):
    """A folder with a study, half of another, a text file and three files that name no study that could be one."""
    folder = tmp_path / "in"
    for instance in knee.instances[:3]:
        saved(instance, folder / "knee")
    for dataset in mr_series(study="other"):
        saved(dataset, folder)
    (folder / "notes.txt").write_text("not DICOM")
    # the same length as what they replace; pydicom would not write them
    for number, uid in enumerate((b"", b"../../../../../escape", b".....................")):
        (bad,) = mr_series((1, 8, 8), study=f"bad {number}", StudyInstanceUID="1.2.3.4.5.6.7.8.9.0.9")
        path = saved(bad, folder / "bad")
        path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5.6.7.8.9.0.9", uid.ljust(21, b"\0")))
    return folder


def test_files_are_sorted_by_study_and_the_others_refused(mixed, knee):
    """Each with its reason; a UID that is a path is none."""
    found = find_studies(mixed)
    assert len(found.studies) == 2
    assert len(found.studies[knee.study_instance_uid]) == 3
    reasons = sorted(found.refused.values())
    assert len(reasons) == 4
    assert sum("not a UID" in reason for reason in reasons) == 2
    assert sum("is empty" in reason for reason in reasons) == 1
    assert sum("no DICM prefix" in reason for reason in reasons) == 1


def test_a_folder_is_analysed_study_by_study(mixed, engine, knee, tmp_path):
    """Results as files under their study, and a summary of all; nothing is written elsewhere."""
    out = tmp_path / "out"
    done = list(analyse_folder(find_studies(mixed), engine, out))
    content = json.loads((out / "summary.json").read_text())
    assert [study["study_instance_uid"] for study in content["studies"]] == [
        each.summary.study_instance_uid for each in done
    ]
    assert len(content["refused"]) == 4
    for study in content["studies"]:
        for name in study["results"]:
            assert dcmread(out / name).StudyInstanceUID == study["study_instance_uid"]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    studies = {each.summary.study_instance_uid for each in done}
    assert {path.name for path in out.iterdir()} == {*studies, "summary.json"}


def test_a_single_file_is_a_folder_of_one(mixed, knee):
    """As a person would expect of the command."""
    file = next((mixed / "knee").iterdir())
    assert list(find_studies(file).studies) == [knee.study_instance_uid]
