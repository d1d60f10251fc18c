"""What is wrong with pictures, and when nobody should look at them."""

import io

import numpy as np
import pytest
from PIL import Image

from inference import phantoms
from inference.findings import Defect
from inference.quality import judge
from tests.builders.packages import volume_of


def brain():
    """Three slices of a phantom brain, 0 to 255."""
    return phantoms.brain_mr(np.random.default_rng(4), (6, 128, 128)).pixels[2:5]


def compressed(pixels, quality):
    """Each slice through JPEG."""
    slices = []
    for picture in pixels:
        file = io.BytesIO()
        Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=quality)
        slices.append(np.asarray(Image.open(file)))
    return np.stack(slices)


def cut(pixels, part):
    """The lowest part of every slice is empty."""
    pixels = pixels.copy()
    pixels[:, -int(part * pixels.shape[1]) :] = 0
    return pixels


GENERATOR = np.random.default_rng(0)
REFUSED = {
    Defect.BLANK: lambda: np.full((3, 128, 128), 7.0),
    Defect.NOISE: lambda: GENERATOR.uniform(0, 255, (3, 128, 128)),
    Defect.CLIPPED: lambda: np.clip(brain() * 40, 0, 255),
    Defect.TRUNCATED: lambda: cut(brain(), 0.8),
    Defect.TINY: lambda: brain()[:, 50:75, 50:75],
}


@pytest.mark.parametrize("defect", REFUSED)
def test_what_shows_nothing_is_refused(defect):
    """With the defect by name."""
    flags = {flag.defect: flag for flag in judge(volume_of(REFUSED[defect]()))}
    assert flags[defect].refused
    assert str(defect).split()[-1] in flags[defect].text


@pytest.mark.parametrize(
    "picture",
    [
        brain,
        lambda: phantoms.knee_mr(np.random.default_rng(1), (4, 128, 128)).pixels,
        lambda: phantoms.hand_radiograph(np.random.default_rng(1)).pixels,
        lambda: phantoms.abdomen_ct(np.random.default_rng(1), (3, 128, 128)).pixels,
        lambda: phantoms.colour_ultrasound(np.random.default_rng(1)).pixels,
        lambda: phantoms.photograph(np.random.default_rng(1)).pixels,
    ],
)
def test_what_shows_something_has_no_defect(picture):
    """Nothing is said about pictures that are fit, in grey, HU or colour."""
    assert judge(volume_of(picture())) == ()


def test_heavy_compression_is_flagged_and_not_refused():
    """At the usual quality it is not even worth a word."""
    assert [flag.defect for flag in judge(volume_of(compressed(brain(), 5)))] == [Defect.COMPRESSED]
    assert judge(volume_of(compressed(brain(), 85))) == ()
    assert not any(flag.refused for flag in judge(volume_of(compressed(brain(), 5))))


def test_one_bad_slice_does_not_condemn_a_stack():
    """The median over several slices decides."""
    pixels = brain()
    pixels[0] = 0
    assert judge(volume_of(pixels)) == ()


def test_small_pictures_are_flagged_before_they_are_refused():
    """Between 32 and 64 pixels something can be seen."""
    (flag,) = judge(volume_of(brain()[:, 40:90, 40:90]))
    assert (flag.defect, flag.refused) == (Defect.TINY, False)
    assert "50 x 50" in flag.text
