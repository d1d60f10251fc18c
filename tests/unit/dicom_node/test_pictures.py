"""Pictures show what came back, where it is."""

import datetime

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt

from dicom_node.phantoms import phantom_studies
from dicom_node.pictures import draw_study
from inference.findings import Analysis, VolumeAnalysis
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, encode, headers_of, lesion, segmented, volume_of
from tests.builders.datasets import mr_series
from tests.builders.network import saved


@pytest.fixture(scope="module")
def brain():
    """A phantom with a lesion, and results that say exactly where it is."""
    when = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
    study = next(study for study in phantom_studies(21, when) if study.kind == "brain MR")
    run = segmented(study.lesion)
    analysis = Analysis(study.study_instance_uid, (VolumeAnalysis(volume_of(study.instances), (run,)),))
    return study, encode(analysis, headers_of(*study.instances), EQUIPMENT, WHEN)


def panels(picture):
    """The three panels, without names, caption and gaps, as arrays."""
    width = (picture.width - 6) // 3
    array = np.asarray(picture)
    bottom = picture.height - 40  # caption and gap
    return [array[24:bottom, 6 + n * width : n * width + width] for n in range(3)]


def test_a_picture_shows_the_lesion_in_mask_and_outline(brain, tmp_path):
    """The mask is white exactly where the lesion is, and the outline is its border, all of it."""
    study, objects = brain
    instances = [saved(instance, tmp_path / "images") for instance in study.instances]
    results = [saved(result, tmp_path / "results") for result in objects]
    image, mask, overlay = panels(draw_study(instances, results, "brain"))
    shown = study.lesion[int(study.lesion.sum((1, 2)).argmax())]
    truth = Image.fromarray(shown.astype(np.uint8) * 255).resize((300, 300), Image.Resampling.BILINEAR)
    inside = np.asarray(truth)[18 : 18 + len(mask)] > 127  # a panel begins 6 rows below the picture's top, cut at 24
    assert np.array_equal(mask[..., 0] > 127, inside)
    outline = (overlay != image).any(axis=-1)
    border = inside & ~binary_erosion(inside)
    # smoothing rounds the steps between pixels, the outline has them; the pen is 2 wide
    assert distance_transform_edt(~border)[outline].max() < 3
    assert distance_transform_edt(~outline)[border].max() < 3


@pytest.mark.parametrize("side", [20, 1200])
def test_an_outline_is_as_thin_on_a_small_image_and_as_visible_on_a_large_one(tmp_path, side):
    """Two pixels of the picture, between lesion and surroundings, whatever the size of the image."""
    third = side // 3
    mask = lesion((1, side, side), start=(0, third, third), size=(1, third, third))
    mask[0, third : 2 * third, third : 2 * third] = True
    series = mr_series((1, side, side), pixels=np.zeros((1, side, side)))
    objects = encode(analysis_of(series, segmented(mask)), headers_of(*series), EQUIPMENT, WHEN)
    results = [saved(result, tmp_path / "results") for result in objects]
    image, white, overlay = panels(draw_study([saved(series[0], tmp_path)], results, "square"))
    middle = len(white) // 2 + 3
    drawn = np.flatnonzero((overlay[middle] != image[middle]).any(axis=-1))
    first, last = np.flatnonzero(white[middle, :, 0] > 127)[[0, -1]]
    assert len(drawn) == 4
    assert drawn[[0, 1]] == pytest.approx(first, abs=2)
    assert drawn[[2, 3]] == pytest.approx(last, abs=2)


def test_a_picture_without_findings_is_drawn_too(tmp_path):
    """Colour, and grey without a window: image twice, and a black mask."""
    when = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
    colour = next(study for study in phantom_studies(22, when) if study.kind == "photograph").instances
    stored = np.arange(4800).reshape(3, 40, 40)
    grey = mr_series((3, 40, 40), pixels=stored, WindowCenter=None, WindowWidth=None)
    for name, datasets in (("colour", colour), ("grey", grey)):
        paths = [saved(dataset, tmp_path / name) for dataset in datasets]
        image, mask, overlay = panels(draw_study(paths, [], name))
        assert mask.max() == 0
        assert np.array_equal(image, overlay)
        assert image.max() > 250 if name == "grey" else image.max() > 100
        assert (image[..., 0] != image[..., 2]).any() == (name == "colour")
