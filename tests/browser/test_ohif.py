"""What the node makes opens in OHIF and shows what it says."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.phantoms import phantom_studies
from tests.browser.viewer import viewing
from tests.builders.command import run
from tests.builders.network import saved
from tests.builders.results import by_modality, drawn_groups

pytestmark = pytest.mark.browser

WHEN = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Answered:
    """A study in the archive, with the node's answer."""

    study_uid: str
    results: dict[str, Path]

    def dataset(self, modality: str) -> Dataset:
        """The answer's object of that kind."""
        return dcmread(self.results[modality])


@pytest.fixture(scope="module")
def brain(site, tmp_path_factory) -> Answered:
    """The brain with a lesion, analysed by the command."""
    folder = tmp_path_factory.mktemp("brain")
    phantom = next(study for study in phantom_studies(7, WHEN) if study.kind == "brain MR")
    for instance in phantom.instances:
        saved(instance, folder / "in")
    told = run("analyze", folder / "in", "--out", folder / "out")
    assert told.returncode == 0, told.stderr
    results = by_modality((folder / "out").rglob("*.dcm"))
    for path in (folder / "in").iterdir():
        site.archive.post("/instances", path.read_bytes())
    for (path,) in results.values():
        site.archive.post("/instances", path.read_bytes())
    return Answered(phantom.study_instance_uid, {modality: path for modality, (path,) in results.items()})


def test_the_segmentation_lies_over_the_image(brain, site, browser, shots):
    """Nothing but grey before; the prompt is confirmed; the list names the lesion as the object does."""
    segmentation = brain.dataset("SEG")
    labels = [str(segment.SegmentLabel) for segment in segmentation.SegmentSequence]
    with viewing(browser, site.origin, brain.study_uid, shots, "segmentation") as viewer:
        assert viewer.coloured_pixels() == 0
        viewer.open_series(segmentation.SeriesDescription)
        viewer.answer_yes("Do you want to open this Segmentation?")
        assert viewer.segments(len(labels)) == labels
        assert viewer.coloured_pixels() > 500


def test_the_report_is_drawn_with_its_own_numbers(brain, site, browser, shots):
    """Every outline of the report is in the viewport with all that was measured; one has volume and diameters."""
    report = brain.dataset("SR")
    measured = set()
    with viewing(browser, site.origin, brain.study_uid, shots, "report") as viewer:
        viewer.open_series(report.SeriesDescription)
        for number, group in enumerate(drawn_groups(report), start=1):
            told = viewer.annotation(group.tracking_uid)
            assert {f"{name}: {value:.2f} {unit}" for name, value, unit in group.numbers} <= set(told)
            assert group.points in viewer.line_lengths()
            measured |= {name for name, _, _ in group.numbers}
            viewer.picture(f"group-{number}")
            viewer.next_measurement()
    assert {"Volume", "Long axis", "Short axis"} <= measured
