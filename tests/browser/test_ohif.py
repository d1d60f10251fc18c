"""What the node makes opens in OHIF and shows what it says."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_node.phantoms import phantom_studies
from inference.findings import StageRun
from sr_writer import codes
from sr_writer.encode import encode
from sr_writer.wording import RESEARCH_USE_ONLY
from tests.browser.conftest import Site
from tests.browser.viewer import viewing
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, classified, detected, headers_of, refused, segmented
from tests.builders.command import run
from tests.builders.datasets import encoded, mr_series, radiograph
from tests.builders.network import saved
from tests.builders.results import drawn_groups

pytestmark = pytest.mark.browser

SENT_AT = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Answered:
    """A study in the archive, and the answer to it by modality."""

    study_uid: str
    results: dict[str, Dataset]


def archived(site: Site, images: Sequence[Dataset], results: Sequence[Dataset]) -> Answered:
    """Images and results are put into the archive."""
    for dataset in (*images, *results):
        site.archive.post("/instances", encoded(dataset))
    return Answered(str(images[0].StudyInstanceUID), {str(result.Modality): result for result in results})


def answered(site: Site, images: Sequence[Dataset], *runs: StageRun) -> Answered:
    """The encoders' answer to stages that ended so."""
    return archived(site, images, encode(analysis_of(images, *runs), headers_of(*images), EQUIPMENT, WHEN))


@pytest.fixture(scope="module")
def brain(site, tmp_path_factory) -> Answered:
    """The brain with a lesion, analysed by the command."""
    folder = tmp_path_factory.mktemp("brain")
    phantom = next(study for study in phantom_studies(7, SENT_AT) if study.kind == "brain MR")
    for instance in phantom.instances:
        saved(instance, folder / "in")
    told = run("analyze", folder / "in", "--out", folder / "out")
    assert told.returncode == 0, told.stderr
    return archived(site, phantom.instances, [dcmread(path) for path in (folder / "out").rglob("*.dcm")])


@pytest.fixture(scope="module")
def boxes(site) -> Answered:
    """A radiograph with two boxes, without geometry and so without a Segmentation."""
    image = radiograph((200, 160), pixels=np.tile(np.arange(160) * 4, (200, 1)), study="boxes")
    return answered(site, [image], classified("modality", "xr"), detected((20, 30, 80, 90), (100, 100, 150, 180)))


@pytest.fixture(scope="module")
def nothing_found(site) -> Answered:
    """One stage found nothing, one was not attempted: a report without a measurement."""
    shape = (3, 96, 80)
    images = mr_series(shape, pixels=np.arange(np.prod(shape)).reshape(shape) % 800, study="nothing found")
    return answered(site, images, classified("modality", "mr"), segmented(), refused("other"))


def test_the_segmentation_lies_over_the_image(brain, site, browser, shots):
    """Nothing but grey before; the prompt is confirmed; the list names the lesion as the object does."""
    segmentation = brain.results["SEG"]
    labels = [str(segment.SegmentLabel) for segment in segmentation.SegmentSequence]
    with viewing(browser, site.origin, brain.study_uid, shots, "segmentation") as viewer:
        assert viewer.coloured_pixels() == 0
        viewer.open_series(segmentation.SeriesDescription)
        viewer.answer_yes("Do you want to open this Segmentation?")
        assert viewer.segments(len(labels)) == labels
        assert viewer.coloured_pixels() > 500


@pytest.mark.parametrize(
    ("study", "measured"),
    [("brain", {"Volume", "Long axis", "Short axis", "Score", codes.SLICES.meaning}), ("boxes", {"Score"})],
)
def test_the_report_is_drawn_with_its_own_numbers(study, measured, request, site, browser, shots):
    """Every outline of the report is in the viewport with all that was measured in it."""
    given = request.getfixturevalue(study)
    report = given.results["SR"]
    groups = drawn_groups(report)
    with viewing(browser, site.origin, given.study_uid, shots, f"report-{study}") as viewer:
        viewer.open_series(report.SeriesDescription)
        for number, group in enumerate(groups, start=1):
            told = viewer.annotation(group.tracking_uid)
            assert {f"{name}: {value:.2f} {unit}" for name, value, unit in group.numbers} <= set(told)
            assert group.points in viewer.line_lengths()
            viewer.picture(f"group-{number}")
            viewer.next_measurement()
    assert {name for group in groups for name, _, _ in group.numbers} == measured


def test_a_report_without_measurements_is_read(nothing_found, site, browser, shots):
    """That nothing was found, and that something was not done, is text in the viewport."""
    report = nothing_found.results["SR"]
    with viewing(browser, site.origin, nothing_found.study_uid, shots, "report-nothing-found") as viewer:
        viewer.open_series(report.SeriesDescription)
        for said in (RESEARCH_USE_ONLY, codes.ABSENT.meaning, codes.NOT_ATTEMPTED.meaning):
            viewer.reads(said)
