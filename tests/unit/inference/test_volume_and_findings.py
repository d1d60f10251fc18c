"""The records that analyses are made of refuse what would be a lie."""

import numpy as np
import pytest

from inference.findings import Algorithm, Analysis, Exclusion, Outcome, Segment, StageRun, Task, VolumeAnalysis
from inference.volume import FrameReference, Volume, Window
from inference.voxels import Mask
from tests.builders.packages import volume_of

ALGORITHM = Algorithm("a", "1", "m", "0" * 64)


def run(outcome, reason="", task=Task.SEGMENTATION, **more):
    """A stage run."""
    return StageRun("stage", task, outcome, reason=reason, **more)


def analysis_of(*runs):
    """An analysis of one volume."""
    return Analysis("1.2.3", (VolumeAnalysis(volume_of(np.zeros((1, 2, 2))), runs),))


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.COMPLETE, "but why"), (Outcome.NOT_ATTEMPTED, ""), (Outcome.FAILED, ""), (Outcome.PARTIAL, "x")],
)
def test_a_reason_belongs_to_what_is_not_complete(outcome, reason):
    """A silent refusal cannot be built, nor a partial stage."""
    with pytest.raises(ValueError, match="stage"):
        run(outcome, reason)


def test_found_nothing_is_only_for_what_looked():
    """A classification never finds nothing, nor does a refusal, nor a segment."""
    segment = Segment("tumour", 1, Mask.of(np.ones((1, 2, 2), np.bool_)), 0.9)
    assert run(Outcome.COMPLETE).found_nothing
    assert not run(Outcome.COMPLETE, segments=(segment,)).found_nothing
    assert not run(Outcome.COMPLETE, task=Task.CLASSIFICATION).found_nothing
    assert not run(Outcome.NOT_ATTEMPTED, "no model").found_nothing


DONE, REFUSED, BROKEN = run(Outcome.COMPLETE), run(Outcome.NOT_ATTEMPTED, "no"), run(Outcome.FAILED, "no")


@pytest.mark.parametrize(
    ("runs", "outcome"),
    [
        ((), Outcome.NOT_ATTEMPTED),
        ((DONE, DONE), Outcome.COMPLETE),
        ((DONE, REFUSED), Outcome.PARTIAL),
        ((DONE, BROKEN), Outcome.PARTIAL),
        ((REFUSED, REFUSED), Outcome.NOT_ATTEMPTED),
        ((REFUSED, BROKEN), Outcome.FAILED),
    ],
)
def test_the_outcome_of_an_analysis_follows_from_its_stages(runs, outcome):
    """Complete only if all are."""
    assert analysis_of(*runs).outcome is outcome


def test_algorithms_are_listed_once_in_order_of_use():
    """However many stages they ran for."""
    other = Algorithm("b", "1", "m", "1" * 64)
    runs = [run(Outcome.COMPLETE, algorithm=algorithm) for algorithm in (other, ALGORITHM, other)]
    assert analysis_of(*runs, REFUSED).algorithms == (other, ALGORITHM)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4, 2), (1, 1, 4, 4, 3)])
def test_pixels_have_three_axes_or_four_with_rgb(shape):
    """Anything else is refused by its shape."""
    with pytest.raises(ValueError, match="pixels must be"):
        Volume("1", "2", np.zeros(shape, np.float32), (FrameReference("1", "1"),))


def test_every_slice_has_its_frame():
    """Counts must agree."""
    with pytest.raises(ValueError, match="2 slices but 1 frame"):
        Volume("1", "2", np.zeros((2, 4, 4), np.float32), (FrameReference("1", "1"),))


def test_a_voxel_has_a_volume_only_where_spacing_is_known_and_even():
    """Rows x columns x slices."""
    assert volume_of(np.zeros((2, 4, 4)), spacing=(5.0, 0.5, 0.4)).voxel_volume_mm3 == pytest.approx(1.0)
    assert volume_of(np.zeros((2, 4, 4)), spacing=None).voxel_volume_mm3 is None
    uneven = Volume("1", "2", np.zeros((1, 4, 4), np.float32), (FrameReference("1", "1"),),
                    pixel_spacing_mm=(1, 1), slice_spacing_mm=1, even_spacing=False)  # fmt: skip
    assert uneven.voxel_volume_mm3 is None


def test_a_window_spans_its_width_around_its_centre():
    """PS3.3 C.11.2.1.2, without the half pixel of integers."""
    assert (Window(40, 400).lower, Window(40, 400).upper) == (-160, 240)


def test_an_analysis_with_a_lost_image_is_partial():
    """Nobody knows what it shows; one that was left out on purpose changes nothing."""
    run = StageRun("s", Task.DETECTION, Outcome.COMPLETE)
    volume = Volume("1", "2", np.zeros((1, 2, 2), np.float32), (FrameReference("1", "3"),))
    lost, localiser = (Exclusion("4", "1", "2", "reason", is_loss=loss) for loss in (True, False))
    outcomes = [
        Analysis("1", (VolumeAnalysis(volume, (run,)),), exclusions).outcome
        for exclusions in ((), (localiser,), (localiser, lost))
    ]
    assert outcomes == [Outcome.COMPLETE, Outcome.COMPLETE, Outcome.PARTIAL]
