"""What a destination gets in place of what it refuses, and that nothing it gets refers to what it has not."""

from dataclasses import replace

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SegmentationStorage,
)

from sr_writer.checks.registry import check_object
from sr_writer.created import LABEL_MAP_SEGMENTATION_STORAGE
from sr_writer.fallback import in_place_of, without
from sr_writer.profiles import PROFILES, Profile, ReportForm, ResultKind, SegmentationForm
from tests.builders.analyses import analysis_of, encode, headers_of, lesion, segmented
from tests.builders.datasets import mr_series
from tests.builders.validators import errors_of, written

SHAPE = (6, 32, 24)
IMAGES = mr_series(SHAPE)
LESIONS = (lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7)), lesion(SHAPE, start=(3, 20, 10), size=(2, 5, 5)))
BINARY = PROFILES["weasis"]
LABELMAP = replace(BINARY, segmentation=SegmentationForm.LABELMAP)
NO_SEG = replace(BINARY, objects=BINARY.objects - {ResultKind.SEGMENTATION})
SEG_ONLY = Profile(frozenset({ResultKind.SEGMENTATION}))
PLAIN = {"report_form": ReportForm.COMPREHENSIVE}
THREE_D, SEGMENTATION, LABEL_MAP = (
    str(uid) for uid in (Comprehensive3DSRStorage, SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE)
)
#: Refusals that something takes the place of, alone and together.
REFUSALS = [{THREE_D}, {SEGMENTATION}, {LABEL_MAP}, {LABEL_MAP, SEGMENTATION}, {THREE_D, SEGMENTATION, LABEL_MAP}]


def results_of(profile):
    """The objects of a study with two lesions."""
    return encode(analysis_of(IMAGES, segmented(*LESIONS)), headers_of(*IMAGES), profile=profile)


def report_of(profile):
    """Its report."""
    (report,) = (each for each in results_of(profile) if each.Modality == "SR")
    return report


def values(item, keyword):
    """Every value of that attribute, at any depth."""
    return [element.value for element in item.iterall() if element.keyword == keyword]


@pytest.mark.parametrize(
    ("profile", "refused", "left"),
    [
        (BINARY, set(), BINARY),
        (BINARY, {THREE_D}, replace(BINARY, **PLAIN)),
        (LABELMAP, {LABEL_MAP}, BINARY),
        (BINARY, {LABEL_MAP}, BINARY),
        (BINARY, {SEGMENTATION}, NO_SEG),
        (LABELMAP, {SEGMENTATION}, replace(NO_SEG, segmentation=SegmentationForm.LABELMAP)),
        (LABELMAP, {LABEL_MAP, SEGMENTATION, THREE_D}, replace(NO_SEG, **PLAIN)),
        # nothing would tell what the segmentation tells
        (SEG_ONLY, {SEGMENTATION}, SEG_ONLY),
        (BINARY, {str(GrayscaleSoftcopyPresentationStateStorage)}, BINARY),
    ],
)
def test_each_refusal_has_its_profile(profile, refused, left):
    """The least that has to change."""
    assert without(profile, refused) == left


@pytest.mark.parametrize(
    ("sop_class_uid", "profile", "refused", "instead"),
    [
        (THREE_D, BINARY, set(), "Comprehensive SR Storage"),
        (LABEL_MAP, LABELMAP, set(), "Segmentation Storage, BINARY"),
        (LABEL_MAP, LABELMAP, {SEGMENTATION}, "a report without segmentation"),
        (SEGMENTATION, BINARY, set(), "a report without segmentation"),
        (SEGMENTATION, SEG_ONLY, set(), None),
        (str(ComprehensiveSRStorage), BINARY, {THREE_D}, None),
        (str(GrayscaleSoftcopyPresentationStateStorage), BINARY, set(), None),
    ],
)
def test_what_takes_its_place_is_told(sop_class_uid, profile, refused, instead):
    """Or that nothing does."""
    assert in_place_of(sop_class_uid, profile, refused) == instead


@pytest.mark.parametrize("profile", [BINARY, LABELMAP])
@pytest.mark.parametrize("refused", REFUSALS)
def test_nothing_that_is_refused_is_made_or_referred_to(profile, refused):
    """So making anew comes to an end, and nothing dangles; the lesions are told of with their outlines all the same."""
    made = results_of(without(profile, refused))
    uids = {str(each.SOPInstanceUID) for each in made} | {str(each.SOPInstanceUID) for each in IMAGES}
    assert refused.isdisjoint({str(each.SOPClassUID) for each in made})
    for each in made:
        assert refused.isdisjoint(map(str, values(each, "ReferencedSOPClassUID")))
        assert set(map(str, values(each, "ReferencedSOPInstanceUID"))) <= uids
    report = next(each for each in made if each.Modality == "SR")
    assert values(report, "GraphicType").count("POLYLINE") >= len(LESIONS)


def test_a_comprehensive_sr_says_the_same_under_a_uid_of_its_own(tmp_path):
    """Its content is item for item that of the Comprehensive 3D SR, and of kinds that its IOD allows (A.35.3)."""
    ordinary, plain = report_of(BINARY), report_of(replace(BINARY, **PLAIN))
    assert plain.SOPClassUID == ComprehensiveSRStorage
    assert plain.ContentSequence == ordinary.ContentSequence
    assert plain.SOPInstanceUID != ordinary.SOPInstanceUID
    assert plain.SeriesInstanceUID != ordinary.SeriesInstanceUID
    assert {"SCOORD3D", "TABLE"}.isdisjoint(values(plain, "ValueType"))
    sources = {str(each.SOPInstanceUID): each for each in IMAGES}
    assert check_object(plain, sources) == ()
    [path] = written([plain], tmp_path)
    assert errors_of("dciodvfy", path) == []
    assert errors_of("dsrdump", path) == []


@pytest.mark.parametrize("refused", REFUSALS[:1] + REFUSALS[1:2])
def test_what_is_not_refused_stays_the_very_same(refused):
    """A destination that has it already takes no second one."""
    before = {each.Modality: str(each.SOPInstanceUID) for each in results_of(BINARY)}
    after = {each.Modality: str(each.SOPInstanceUID) for each in results_of(without(BINARY, refused))}
    assert before["PR"] == after["PR"]
    assert before["SR"] != after["SR"]
    assert before.get("SEG") == after.get("SEG", before["SEG"])
