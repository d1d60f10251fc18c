"""Every destination gets its profile's objects, in order, once; a later report names the earlier one and the change."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dicom_node.domain.delivery import EarlierReport, ResultObject
from dicom_node.results import Signed, profiles_without, results_for
from dicom_node.summary import summarise
from inference.findings import Outcome, StageRun, Task
from inference.voxels import Mask
from sr_writer.created import LABEL_MAP_SEGMENTATION_STORAGE
from sr_writer.profiles import PROFILES, Profile, SegmentationForm
from tests.builders.analyses import (
    EQUIPMENT,
    WHEN,
    analysis_of,
    classified,
    excluded,
    failed,
    headers_of,
    lesion,
    segmented,
)
from tests.builders.datasets import mr_series

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7))
IMAGES = mr_series(SHAPE)
SIGNED = Signed(headers_of(*IMAGES), EQUIPMENT, WHEN)
BRAIN = classified("mri region", "brain")


def sent_to(objects, name):
    """Modalities of what one destination gets, in order."""
    return [str(each.dataset.Modality) for each in objects if name in each.destinations]


def report_in(objects):
    """The one Structured Report."""
    (report,) = (each.dataset for each in objects if each.dataset.Modality == "SR")
    return report


def earlier(analysis, objects, peers=("PACS",), job_id=1):
    """The report of an earlier job, as the store remembers it."""
    report = report_in(objects)
    result = ResultObject(
        Path("/results/SR.dcm"),
        "SR",
        str(report.SOPClassUID),
        str(report.SOPInstanceUID),
        str(report.SeriesInstanceUID),
    )
    return EarlierReport(job_id, result, peers, summarise(analysis).model_dump_json())


def changes_in(report):
    """What the report says has changed."""
    container = report.ContentSequence[-1]
    return [
        str(item.TextValue)
        for item in container.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "change"
    ]


def test_each_destination_gets_its_profile():
    """Objects that two profiles share exist once; nothing comes before what it refers to."""
    labelmap = Profile(PROFILES["weasis"].objects, segmentation=SegmentationForm.LABELMAP)
    profiles = {PROFILES["standard"]: ("PACS",), labelmap: ("LAB", "DESK"), PROFILES["snapshot-only"]: ("OLD",)}
    objects = results_for(analysis_of(IMAGES, BRAIN, segmented(FIRST)), SIGNED, profiles)
    assert sent_to(objects, "PACS") == ["SEG", "SR", "PR", "OT"]
    assert sent_to(objects, "LAB") == sent_to(objects, "DESK") == ["SEG", "SR", "PR"]
    assert sent_to(objects, "OLD") == ["OT"]
    assert len({each.dataset.SOPInstanceUID for each in objects}) == len(objects) == 6


def test_who_refuses_a_class_has_a_profile_without_it():
    """The others keep theirs; who then wants the same as another shares it; for nobody it is still made."""
    labelmap = replace(PROFILES["weasis"], segmentation=SegmentationForm.LABELMAP)
    wanted = {labelmap: ("OLD", "NEW"), PROFILES["weasis"]: ("DESK",)}
    refused = {"OLD": {LABEL_MAP_SEGMENTATION_STORAGE}, "GONE": {LABEL_MAP_SEGMENTATION_STORAGE}}
    assert profiles_without(wanted, refused) == {PROFILES["weasis"]: ("OLD", "DESK"), labelmap: ("NEW",)}
    assert profiles_without({labelmap: ()}, refused) == {labelmap: ()}


def test_the_first_report_has_no_predecessor():
    """Nor a word of change."""
    report = report_in(results_for(analysis_of(IMAGES, BRAIN), SIGNED, {PROFILES["weasis"]: ("PACS",)}))
    assert "PredecessorDocumentsSequence" not in report
    assert changes_in(report) == []


def test_a_later_report_names_the_earlier_one_and_what_is_new():
    """A late image brought a lesion to light."""
    before = analysis_of(IMAGES[:5], BRAIN, segmented())
    first = results_for(before, SIGNED, {PROFILES["weasis"]: ("PACS",)})
    now = analysis_of(IMAGES, BRAIN, segmented(FIRST))
    report = report_in(
        results_for(now, SIGNED, {PROFILES["weasis"]: ("PACS",)}, [earlier(before, first)]),
    )
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert document.ReferencedSOPInstanceUID == report_in(first).SOPInstanceUID != report.SOPInstanceUID
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (
        report.StudyInstanceUID,
        report_in(first).SeriesInstanceUID,
    )
    assert changes_in(report) == [
        "6 slices were analysed, 5 before.",
        "tumour 1 is new (1.0 ml, 12.5 mm, 7.2 mm).",
    ]


def test_measurements_answers_models_and_failures_are_changes():
    """In words, with the earlier value."""
    (old,) = segmented(FIRST).segments
    smaller = replace(old, measurements=tuple(replace(m, value=m.value * 2) for m in old.measurements))
    run = segmented(FIRST)
    before = analysis_of(IMAGES, BRAIN, replace(run, segments=(smaller,)))
    newer = replace(run.algorithm, version="2.0.0")
    broken = StageRun("knee plane", Task.CLASSIFICATION, Outcome.FAILED, "It broke.")
    now = analysis_of(IMAGES, classified("mri region", "knee"), replace(run, algorithm=newer), broken)
    first = results_for(before, SIGNED, {PROFILES["weasis"]: ("PACS",)})
    objects = results_for(now, SIGNED, {PROFILES["weasis"]: ("PACS",)}, [earlier(before, first)])
    assert changes_in(report_in(objects)) == [
        "The analysis is partial, it was complete.",
        "brain-tumour-unet 2.0.0 was used, and was not before.",
        "brain-tumour-unet 1.2.0 was used before, and is not now.",
        "mri region is knee, it was brain.",
        "tumour 1: volume 1.0 ml, was 2.0 ml.",
        "tumour 1: long axis 12.5 mm, was 25.0 mm.",
        "tumour 1: short axis 7.2 mm, was 14.5 mm.",
    ]


def test_a_failed_stage_takes_no_finding_back():
    """Not found is what was looked for."""
    before, now = analysis_of(IMAGES, segmented(FIRST)), analysis_of(IMAGES, failed())
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(before, SIGNED, profiles)
    told = changes_in(report_in(results_for(now, SIGNED, profiles, [earlier(before, first)])))
    assert told[-1] == "tumour 1 was found before (1.0 ml, 12.5 mm, 7.2 mm); now nobody looked for it."
    assert not any("not found any more" in each for each in told)


def test_findings_are_paired_by_place_not_by_size():
    """A larger lesion elsewhere is new, and the earlier one is not grown."""
    other = lesion(SHAPE, start=(1, 18, 12), size=(4, 9, 9))
    before, now = analysis_of(IMAGES, segmented(FIRST)), analysis_of(IMAGES, segmented(other, FIRST))
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(before, SIGNED, profiles)
    told = changes_in(report_in(results_for(now, SIGNED, profiles, [earlier(before, first)])))
    assert told == [
        "tumour 1 is new (1.0 ml, 12.5 mm, 7.2 mm).",
        "tumour 2 (before: tumour 1): volume 2.0 ml, was 1.0 ml.",
    ]


def test_an_image_that_is_left_out_now_is_a_change():
    """Even if nothing else is."""
    before, now = analysis_of(IMAGES, BRAIN), analysis_of(IMAGES, BRAIN, exclusions=[excluded(IMAGES[0])])
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(before, SIGNED, profiles)
    told = changes_in(report_in(results_for(now, SIGNED, profiles, [earlier(before, first)])))
    assert told == ["1 more instances are left out."]


def test_destinations_with_other_histories_get_other_reports():
    """One that got a report before is told of it; one that is new is not."""
    before, now = analysis_of(IMAGES[:5], BRAIN), analysis_of(IMAGES, BRAIN)
    first = results_for(before, SIGNED, {PROFILES["weasis"]: ("PACS",)})
    for profiles in (
        {PROFILES["weasis"]: ("PACS",), PROFILES["ohif"]: ("VIEWER",)},
        {PROFILES["ohif"]: ("VIEWER",), PROFILES["weasis"]: ("PACS",)},
        {PROFILES["weasis"]: ("PACS", "VIEWER")},
    ):
        objects = results_for(now, SIGNED, profiles, [earlier(before, first)])
        told = {name: "PredecessorDocumentsSequence" in each.dataset for each in objects for name in each.destinations}
        assert told == {"PACS": True, "VIEWER": False}


def test_back_to_the_first_answer_is_a_third_report():
    """Which names the second: no report is its own grandfather."""
    one, other = analysis_of(IMAGES, BRAIN), analysis_of(IMAGES, classified("mri region", "knee"))
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(one, SIGNED, profiles)
    second = results_for(other, SIGNED, profiles, [earlier(one, first)])
    history = [earlier(other, second, job_id=2), earlier(one, first)]
    third = report_in(results_for(one, SIGNED, profiles, history))
    uids = [report_in(each).SOPInstanceUID for each in (first, second)]
    assert third.SOPInstanceUID not in uids
    (series,) = third.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uids[1]


def test_what_cannot_be_written_is_reported_as_failed(caplog):
    """Whatever highdicom refuses: the destination hears of it."""
    run = segmented(FIRST)
    nameless = replace(run, segments=(replace(run.segments[0], mask=Mask.of(np.zeros(SHAPE, bool))),))
    objects = results_for(analysis_of(IMAGES, BRAIN, nameless), SIGNED, {PROFILES["standard"]: ("PACS",)})
    assert sent_to(objects, "PACS") == ["SR"]
    report = report_in(objects)
    assert report.CompletionFlag == "PARTIAL"
    assert "encoding_failed" in [record.action for record in caplog.records if hasattr(record, "action")]


def test_a_repeated_job_makes_the_same_bytes():
    """The report it repeats is not its own predecessor; the one before that is."""
    before, now = analysis_of(IMAGES[:5], BRAIN), analysis_of(IMAGES, BRAIN)
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(before, SIGNED, profiles)
    second = results_for(now, SIGNED, profiles, [earlier(before, first)])
    again = results_for(now, SIGNED, profiles, [earlier(now, second, job_id=2), earlier(before, first)])
    assert report_in(again) == report_in(second)


def test_a_report_for_others_is_no_predecessor():
    """A destination is told of changes to what it has."""
    before, now = analysis_of(IMAGES[:5], BRAIN), analysis_of(IMAGES, BRAIN)
    first = results_for(before, SIGNED, {PROFILES["weasis"]: ("LAB",)})
    objects = results_for(now, SIGNED, {PROFILES["weasis"]: ("PACS",)}, [earlier(before, first, peers=("LAB",))])
    assert "PredecessorDocumentsSequence" not in report_in(objects)


def test_a_lesion_that_is_gone_is_told():
    """With what it measured."""
    before, now = analysis_of(IMAGES, segmented(FIRST)), analysis_of(IMAGES[:5], segmented())
    profiles = {PROFILES["weasis"]: ("PACS",)}
    first = results_for(before, SIGNED, profiles)
    told = changes_in(report_in(results_for(now, SIGNED, profiles, [earlier(before, first)])))
    assert told[-1] == "tumour 1 is not found any more (1.0 ml, 12.5 mm, 7.2 mm)."


def test_what_an_older_version_of_the_node_found_may_be_unknown():
    """Then the report says that, and is made all the same."""
    before, now = analysis_of(IMAGES[:5], BRAIN), analysis_of(IMAGES, BRAIN)
    profiles = {PROFILES["weasis"]: ("PACS",)}
    old = replace(earlier(before, results_for(before, SIGNED, profiles)), summary="{}")
    (told,) = changes_in(report_in(results_for(now, SIGNED, profiles, [old])))
    assert told.startswith("What has changed is not known")
