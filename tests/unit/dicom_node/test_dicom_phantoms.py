"""Generated studies are valid DICOM, the same for the same seed, and know their truth."""

import datetime

import numpy as np
import pytest

from dicom_node.phantoms import phantom_studies
from tests.builders.network import saved
from tests.builders.validators import dciodvfy_errors

WHEN = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
KINDS = ("brain MR", "knee MR", "hand radiograph", "abdomen CT", "colour ultrasound", "photograph")


@pytest.fixture(scope="module")
def studies():
    """One of each kind."""
    return {study.kind: study for study in phantom_studies(1, WHEN)}


def test_there_is_one_of_each_kind(studies):
    """All that the cascade tells apart, and one thing that is none of it."""
    assert tuple(studies) == KINDS


def test_the_same_seed_makes_the_same_studies(studies):
    """To the last element of the last instance."""
    for again in phantom_studies(1, WHEN):
        assert again.instances == studies[again.kind].instances


def test_another_seed_makes_other_studies(studies):
    """Other UIDs, and other pixels."""
    for other in phantom_studies(2, WHEN):
        one = studies[other.kind]
        assert other.study_instance_uid != one.study_instance_uid
        assert {i.SOPInstanceUID for i in other.instances}.isdisjoint(i.SOPInstanceUID for i in one.instances)
        assert other.instances[0].PixelData != one.instances[0].PixelData


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_to_its_iod(studies, kind, tmp_path):
    """Dciodvfy finds no error in its first instance."""
    assert dciodvfy_errors(saved(studies[kind].instances[0], tmp_path)) == []


def test_the_lesion_is_known_by_voxel_and_volume(studies):
    """One mask per instance; the volume is voxels times their size; the bright spot is there."""
    brain = studies["brain MR"]
    first = brain.instances[0]
    voxel_ml = float(np.prod(first.PixelSpacing)) * first.SpacingBetweenSlices / 1000
    assert brain.lesion.shape == (len(brain.instances), first.Rows, first.Columns)
    assert brain.lesion_volume_ml == pytest.approx(brain.lesion.sum() * voxel_ml)
    index = int(brain.lesion.sum((1, 2)).argmax())
    pixels = brain.instances[index].pixel_array
    assert pixels[brain.lesion[index]].mean() > 1.3 * np.percentile(pixels[~brain.lesion[index]], 90)


def test_slices_advance_along_their_normal(studies):
    """By their spacing, in the order of their numbers."""
    for kind in ("brain MR", "knee MR", "abdomen CT"):
        instances = studies[kind].instances
        cosines = np.array(instances[0].ImageOrientationPatient, float).reshape(2, 3)
        places = [np.cross(*cosines) @ np.array(each.ImagePositionPatient, float) for each in instances]
        assert np.diff(places) == pytest.approx(float(instances[0].SpacingBetweenSlices), abs=0.01)
        assert [each.InstanceNumber for each in instances] == list(range(1, len(instances) + 1))


def test_what_is_expected_follows_from_the_truth(studies):
    """Three results where there is a lesion, a report where there is none."""
    assert {kind for kind, study in studies.items() if study.expected == ("SEG", "SR", "PR", "OT")} == {"brain MR"}
    assert {study.expected for kind, study in studies.items() if kind != "brain MR"} == {("SR",)}
