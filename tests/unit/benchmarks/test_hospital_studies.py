"""Studies of a hospital's size are still studies: one stack each, with the geometry they say."""

from itertools import islice

import pytest

from benchmarks.hospital_studies import hospital_studies
from dicom_node.reader import LoadSettings, load_study


@pytest.fixture(scope="module")
def magnetic():
    """The two that are drawn first, and are small enough for a test."""
    return {study.kind: study for study in islice(hospital_studies(), 2)}


@pytest.mark.parametrize(("kind", "spacing_mm", "pixel_mm"), [("brain MR", 5.0, 0.45), ("knee MR", 4.0, 0.3)])
def test_an_enlarged_study_is_one_stack(magnetic, kind, spacing_mm, pixel_mm, tmp_path):
    """Of as many slices as it shall have, each at a place of its own, in pixels that are as much smaller."""
    paths = [tmp_path / f"{number}.dcm" for number in range(24)]
    for path, instance in zip(paths, magnetic[kind].instances, strict=True):
        instance.save_as(path, enforce_file_format=True)
    loaded = load_study(magnetic[kind].study_instance_uid, paths, LoadSettings("ignore", threads=1))
    [volume] = loaded.volumes
    assert not loaded.exclusions
    assert volume.shape == (24, 512, 512)
    assert volume.slice_spacing_mm == pytest.approx(spacing_mm)
    assert volume.pixel_spacing_mm == pytest.approx((pixel_mm, pixel_mm))
    assert len({frame.sop_instance_uid for frame in volume.frames}) == 24
