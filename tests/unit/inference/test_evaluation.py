"""How good a package is: figures that follow from what it answered, with honest intervals."""

import json

import numpy as np
import pytest

from inference.cards import Labels, OperatingPoint
from inference.evaluation import classify, detect, segment
from inference.evaluation.classify import asks
from inference.evaluation.figures import bootstrap
from inference.evaluation.run import EvaluationError, evaluate, page
from inference.findings import Region, Task
from inference.interpret import classification
from inference.models import Classifier, Detector, Segmenter
from inference.registry import open_package
from tests.builders import pictures
from tests.builders.packages import write_package


def mean_of(values):
    """A statistic."""
    array = np.array(values, float)
    return lambda cases: float(array[cases].mean())


def test_the_interval_of_subjects_is_wider_than_that_of_pictures():
    """Ten pictures of one patient that agree are one patient's worth of evidence."""
    values = np.repeat(np.random.default_rng(0).normal(size=20), 10)
    subjects = [f"s{number // 10}" for number in range(200)]
    by_subject = bootstrap("mean", mean_of(values), subjects, 300)
    by_picture = bootstrap("mean", mean_of(values), [str(number) for number in range(200)], 300)
    assert by_subject.value == by_picture.value == pytest.approx(values.mean())
    assert by_subject.low < by_subject.value < by_subject.high
    assert by_subject.high - by_subject.low > 2 * (by_picture.high - by_picture.low)
    assert by_subject.cases == 200


def test_the_interval_holds_what_it_should():
    """For 100 subjects of unit variance the mean is known to about 0.2 either way."""
    values = np.random.default_rng(1).normal(size=100)
    figure = bootstrap("mean", mean_of(values), [str(number) for number in range(100)], 500)
    assert figure.high - figure.low == pytest.approx(4 * values.std() / 10, rel=0.2)


@pytest.fixture
def packages(tmp_path):
    """A folder for packages."""
    return tmp_path / "packages"


class ByBrightness(Classifier):
    """Calls bright pictures MR, dark ones CT, and every region brain."""

    def __init__(self, package):
        self.package = package

    def answers(self, volume):
        """Sure of itself."""
        bright = float(volume.pixels.mean() > 120)
        scores = {"modality": [1 - bright, bright], "region": [0.5, 0.3, 0.2]}
        return {
            question: classification(classes, np.array([scores[question]], np.float32), (0,))
            for question, classes in self.package.card.questions.items()
        }


def test_a_classifier_is_measured_question_by_question(tmp_path, packages):
    """Two of the six pictures are CT; of the regions only brain is asked, since nobody labelled a knee."""
    root = pictures.labelled(tmp_path / "data")
    package = open_package(write_package(packages / "c", operating_point=OperatingPoint(minimum_score={"region": 0.6})))
    found = classify.evaluate(ByBrightness(package), root, "valid")
    values = {figure.name: figure for figure in found.figures}
    assert (values["modality: accuracy"].value, values["modality: accuracy"].cases) == (1.0, 6)
    assert values["modality: ct, sensitivity"].value == 1
    assert values["modality: mr, AUC"].value == 1
    assert values["region: accuracy"].cases == 2
    assert values["region: turned away"].value == 1
    assert "region: knee, sensitivity" not in values
    assert (found.subjects, found.split, found.data) == (3, "valid", "data")
    confusion = next(table for table in found.tables if table.title.startswith("modality"))
    assert confusion.rows == (("ct", "2", "0"), ("mr", "0", "4"))


@pytest.mark.parametrize(
    ("row", "is_asked"),
    [
        ({"region": "knee", "modality": "mr"}, True),
        ({"region": "knee", "modality": "xr"}, False),
        ({"region": "breast", "modality": "mr"}, False),
        ({"modality": "mr"}, False),
    ],
)
def test_a_row_is_asked_only_where_it_has_a_truth(row, is_asked):
    """In its column, under its conditions."""
    assert asks(Labels(column="region", where={"modality": "mr"}), ("brain", "knee"), row) is is_asked


class Bright(Segmenter):
    """Outlines what is bright, `shift` columns too far to the right."""

    def __init__(self, package, shift=0):
        self.package = package
        self.shift = shift

    def scores(self, volume):
        """1 or 0."""
        return np.roll((volume.pixels > 100).astype(np.float32), self.shift, axis=2)


@pytest.mark.parametrize(("shift", "dice", "distance"), [(0, 1.0, 0.0), (3, 0.8, 3.0)])
def test_a_segmenter_is_measured_patient_by_patient(tmp_path, packages, shift, dice, distance):
    """A square of 15 columns, moved by 3: 12 of 15 overlap, and its border is 3 pixels away."""
    root = pictures.outlined(tmp_path / "data")
    model = Bright(open_package(write_package(packages / "s", Task.SEGMENTATION)), shift)
    found = segment.evaluate(model, root, "valid")
    values = {figure.name: figure.value for figure in found.figures}
    assert values["Dice"] == pytest.approx(dice)
    assert values["pooled IoU"] == pytest.approx(dice / (2 - dice))
    assert values["HD95 in pixels"] == pytest.approx(distance, abs=0.5)
    assert values["volume error"] == 0
    assert found.tables[0].rows[0][0] == "c"


def test_a_segmenter_that_finds_nothing_has_no_distance(tmp_path, packages):
    """And a Dice of nought."""
    root = pictures.outlined(tmp_path / "data")
    model = Bright(open_package(write_package(packages / "s", Task.SEGMENTATION)))
    model.scores = lambda volume: np.zeros(volume.shape, np.float32)
    values = {figure.name: figure.value for figure in segment.evaluate(model, root, "valid").figures}
    assert values["Dice"] == 0
    assert values["volume error"] == -1
    assert np.isnan(values["HD95 in pixels"])


class Boxing(Detector):
    """Puts a box where the bright square is, on every picture, however empty."""

    def __init__(self, package):
        self.package = package

    def boxes(self, volume, threshold=None):
        """One box, in pixels of the picture."""
        assert threshold == pytest.approx(0.01)
        return (Region("tumour", 0.9, 0, 16, 12, 32, 36),)


def test_a_detector_is_measured_over_pictures(tmp_path, packages):
    """Three of four pictures have a box: all are found, one box is in vain."""
    root = pictures.boxed(tmp_path / "data")
    folder = write_package(packages / "d", Task.DETECTION, architecture="yolov5n", questions={"tumour": ("tumour",)})
    found = detect.evaluate(Boxing(open_package(folder)), root, "valid")
    values = {figure.name: figure.value for figure in found.figures}
    assert values["sensitivity above 0.5"] == 1
    assert values["precision above 0.5"] == pytest.approx(3 / 4)
    assert values["boxes in vain per picture above 0.5"] == pytest.approx(1 / 4)
    assert 0.7 < values["AP50"] <= 1
    assert len(found.tables[0].rows) == 9


def test_a_real_package_is_evaluated_from_its_folder(tmp_path, packages):
    """JSON and page are left, and say the same."""
    root, folder = pictures.labelled(tmp_path / "data"), write_package(packages / "c")
    found = evaluate(folder, root, "valid", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["figures"][0]["value"] == found.figures[0].value
    assert (tmp_path / "out" / "evaluation.html").read_text() == page(found)
    assert "Research use only" in page(found)
    assert f"{found.figures[0].value:.3f}" in page(found)
    assert "http" not in page(found)


def test_what_cannot_be_evaluated_is_told(tmp_path, packages):
    """A package that is none, and data of another layout."""
    with pytest.raises(EvaluationError, match=r"card\.json cannot be read"):
        evaluate(tmp_path / "nowhere", tmp_path, "valid", tmp_path / "out")
    with pytest.raises(EvaluationError, match=r"has no labels\.csv, so that it is no data set for classification"):
        evaluate(write_package(packages / "c"), tmp_path, "valid", tmp_path / "out")
