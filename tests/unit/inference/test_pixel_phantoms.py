"""Generated pictures: the same seed the same picture, values in range, the lesion where it was put."""

import numpy as np
import pytest

from inference import phantoms
from inference.phantoms import Ellipsoid

DRAWN = {
    "brain": lambda rng: phantoms.brain_mr(rng, (6, 96, 96), phantoms.random_lesion(rng)),
    "knee": lambda rng: phantoms.knee_mr(rng, (4, 96, 96)),
    "hand": lambda rng: phantoms.hand_radiograph(rng, (120, 96)),
    "ultrasound": lambda rng: phantoms.colour_ultrasound(rng, (96, 128)),
    "photograph": lambda rng: phantoms.photograph(rng, (96, 128)),
    "pattern": lambda rng: phantoms.noise_or_pattern(rng, (64, 80)),
    "abdomen": lambda rng: phantoms.abdomen_ct(rng, (2, 96, 96)),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_seed_draws_the_same_picture(kind):
    """And another seed another one."""
    first, again, other = (DRAWN[kind](np.random.default_rng(seed)).pixels for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", [kind for kind in DRAWN if kind != "abdomen"])
def test_values_fill_eight_bits(kind):
    """Grey and colour are 0 to 255 in float32."""
    pixels = DRAWN[kind](np.random.default_rng(1)).pixels
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 255


def test_ct_is_in_hounsfield_units():
    """Air around the body, bone in it."""
    pixels = DRAWN["abdomen"](np.random.default_rng(1)).pixels
    assert pixels[0, :4, :4].mean() == pytest.approx(-1000, abs=20)
    assert pixels.max() > 200


def test_the_lesion_is_an_ellipsoid_inside_the_brain():
    """Its centre is where it was asked for, it is brighter than the brain around it, and the mask is its voxels."""
    asked = Ellipsoid((0.0, 0.2, -0.25), (0.4, 0.2, 0.1))
    drawn = phantoms.brain_mr(np.random.default_rng(2), (10, 128, 128), asked)
    centre = np.argwhere(drawn.lesion).mean(0)
    expected = (np.array(asked.centre) + 1) / 2 * np.array(drawn.lesion.shape) - 0.5
    assert centre == pytest.approx(expected, abs=0.7)
    volume = drawn.lesion.sum() / drawn.lesion.size
    assert volume == pytest.approx(np.pi / 6 * np.prod(asked.half_axes), rel=0.1)
    middle = drawn.pixels[5]
    assert middle[drawn.lesion[5]].mean() > 1.4 * np.median(middle[40:90, 70:90])


def test_without_a_lesion_the_mask_is_empty():
    """A healthy brain has a mask of nothing; what has no lesions at all has none."""
    assert not phantoms.brain_mr(np.random.default_rng(3), (4, 64, 64)).lesion.any()
    assert DRAWN["hand"](np.random.default_rng(3)).lesion is None


def test_random_lesions_lie_in_one_half():
    """They do not cross the midline."""
    for seed in range(20):
        lesion = phantoms.random_lesion(np.random.default_rng(seed))
        assert abs(lesion.centre[2]) - lesion.half_axes[2] > 0
