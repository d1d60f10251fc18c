"""An analysis in plain words: what was found is told, however it was found, and what was not done is never "none"."""

import pytest

from dicom_node.summary import summarise
from tests.builders.analyses import analysis_of, detected, failed, lesion, refused, segmented
from tests.builders.datasets import mr_series


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (detected((2, 3, 10, 12), (4, 4, 6, 6)), "abnormality box 1 (score 0.66); abnormality box 2 (score 0.66)"),
        (detected(), "x-ray abnormality: none found"),
        (segmented(), "brain tumour: none found"),
        (refused(), ""),
        (failed(), ""),
    ],
)
def test_boxes_and_lesions_are_told(run, told):
    """Boxes count as much as masks; a stage that did not look says nothing."""
    assert summarise(analysis_of(mr_series(), run)).found == told


def test_each_finding_has_its_slices():
    """From the first to the last on which it is seen."""
    datasets = mr_series()
    mask = lesion((len(datasets), datasets[0].Rows, datasets[0].Columns), start=(1, 2, 3), size=(2, 6, 6))
    (volume,) = summarise(analysis_of(datasets, segmented(mask), detected((1, 1, 5, 5)))).volumes
    segment, box = (finding for stage in volume.stages for finding in stage.findings)
    assert (segment.slices, box.slices, box.score) == ((1, 2), (0, 0), 0.66)
    assert segment.measurements["volume_ml"] == 1
