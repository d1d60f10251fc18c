"""How good a package is: figures that follow from what it answered, with honest intervals."""

import json

import numpy as np
import pytest
import torch

from inference.cards import Labels, OperatingPoint
from inference.datasets.example import Example
from inference.evaluation import classify, detect, segment
from inference.evaluation.classify import asks
from inference.evaluation.figures import Measure, bootstrap
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
    by_subject = bootstrap(Measure("mean", mean_of(values)), subjects, 300)
    by_picture = bootstrap(Measure("mean", mean_of(values)), [str(number) for number in range(200)], 300)
    assert by_subject.value == by_picture.value == pytest.approx(values.mean())
    assert by_subject.low < by_subject.value < by_subject.high
    assert by_subject.high - by_subject.low > 2 * (by_picture.high - by_picture.low)
    assert by_subject.cases == 200


def test_the_interval_holds_what_it_should():
    """For 100 subjects of unit variance the mean is known to about 0.2 either way."""
    values = np.random.default_rng(1).normal(size=100)
    figure = bootstrap(Measure("mean", mean_of(values)), [str(number) for number in range(100)], 500)
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
    assert (values["region: outside turned away"].value, values["region: outside turned away"].cases) == (1, 4)
    assert values["modality: mr, AUC"].class_name == "mr"
    assert "region: knee, sensitivity" not in values
    assert [gallery.title for gallery in found.galleries[:2]] == ["modality: curves", "modality: surest wrong answers"]
    assert [len(gallery.pictures) for gallery in found.galleries[:2]] == [2, 0]
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

    def score_parts(self, volume):
        """1 or 0."""
        return [np.roll((volume.pixels > 100).astype(np.float32), self.shift, axis=2)]


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
    assert values["volume error"] == values["absolute volume error"] == 0
    assert found.tables[0].rows[0][0] == "c"
    assert found.galleries[0].pictures[0].caption == f"c, Dice {dice:.2f}, slice 1"


def test_a_segmenter_that_finds_nothing_has_no_distance(tmp_path, packages):
    """And a Dice of nought."""
    root = pictures.outlined(tmp_path / "data")
    model = Bright(open_package(write_package(packages / "s", Task.SEGMENTATION)))
    model.score_parts = lambda volume: [np.zeros(volume.shape, np.float32)]
    found = {figure.name: figure for figure in segment.evaluate(model, root, "valid").figures}
    assert found["Dice"].value == 0
    assert (found["volume error"].value, found["absolute volume error"].value) == (-1, 1)
    assert np.isnan(found["HD95 in pixels"].value)
    assert (found["HD95 in pixels"].cases, found["Dice"].cases) == (0, 1)


def test_a_patient_without_a_lesion_has_no_relative_error():
    """Outlining something there is wrong, by no known part of nothing."""
    nothing = np.zeros((2, 8, 8), np.bool_)
    found = segment._figures(~nothing, nothing)
    assert found["Dice"] == 0
    assert np.isnan(found["volume error"])
    assert segment._figures(nothing, nothing)["Dice"] == 1


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
    assert len(found.tables[1].rows) == 9
    assert values["sensitivity at 1/8 boxes in vain per picture"] == pytest.approx(
        1 / 2
    )  # half way to the one curve point
    assert (
        values["sensitivity at 1/4 boxes in vain per picture"]
        == values["sensitivity at 8 boxes in vain per picture"]
        == 1
    )
    assert values["mean sensitivity at 1/8 to 8 boxes in vain per picture"] == pytest.approx((1 / 2 + 6) / 7)
    assert [row[0] for row in found.tables[0].rows] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert [len(gallery.pictures) for gallery in found.galleries] == [1, 1, 0]


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
    assert page(found).count("<img") >= 3


def test_a_corrupt_picture_is_named_and_left_out(tmp_path, packages, caplog):
    """The others are measured."""
    root = pictures.labelled(tmp_path / "data")
    (root / "images" / "20.jpg").write_text("no picture")
    found = classify.evaluate(ByBrightness(open_package(write_package(packages / "c"))), root, "valid")
    assert found.figures[0].cases == 5
    assert "images/20.jpg" in caplog.text


def test_wrong_answers_are_shown_the_surest_first(tmp_path, packages):
    """With file, truth and answer."""
    root = pictures.labelled(tmp_path / "data")
    model = ByBrightness(open_package(write_package(packages / "c")))
    model.answers = lambda volume: {
        name: classification(classes, np.array([[0.9] + [0.1] * (len(classes) - 1)], np.float32), (0,))
        for name, classes in model.package.card.questions.items()
    }
    worst = classify.evaluate(model, root, "valid").galleries[1]
    assert len(worst.pictures) == 4  # of the six, two are CT; up to twelve are shown, half of them for each question
    assert worst.pictures[0].caption.endswith(".jpg: mr, answered ct 0.90")
    assert worst.pictures[0].content.startswith(b"\x89PNG")


def test_sources_have_figures_of_their_own(tmp_path, packages):
    """If they have enough pictures."""
    rows = [{"modality": "ct", "source": "few" if n < 5 else "many", "subject": str(n)} for n in range(30)]
    cases = [classify._Case(Example("", row["subject"], "valid", row, None), None, {}) for row in rows]
    scores = torch.tensor([[0.2, 0.8]] * 10 + [[0.8, 0.2]] * 20)
    asked = classify._Asked("modality", ("ct", "mr"), cases, scores, torch.zeros(30, dtype=torch.long), 0.0)
    by_source = {measure.source: measure for measure in classify._measures(asked) if measure.source}
    assert list(by_source) == ["many"]
    assert by_source["many"].statistic(np.arange(30)) == pytest.approx(20 / 25)


def test_what_cannot_be_evaluated_is_told(tmp_path, packages):
    """A package that is none, and data of another layout."""
    with pytest.raises(EvaluationError, match=r"card\.json cannot be read"):
        evaluate(tmp_path / "nowhere", tmp_path, "valid", tmp_path / "out")
    with pytest.raises(EvaluationError, match="none of the known layouts"):
        evaluate(write_package(packages / "c"), tmp_path, "valid", tmp_path / "out")
    root, folder = pictures.labelled(tmp_path / "data"), write_package(packages / "d")
    with pytest.raises(EvaluationError, match="layout 'unheard-of' is not known"):
        evaluate(folder, root, "valid", tmp_path / "out", "unheard-of")


@pytest.mark.parametrize(
    ("draw", "task", "architecture", "told"),
    [
        (pictures.labelled, Task.CLASSIFICATION, "resnet50", "has a label for"),
        (pictures.outlined, Task.SEGMENTATION, "res50-unet", "is outlined"),
        (pictures.boxed, Task.DETECTION, "yolov5n", "has a box"),
    ],
)
def test_a_split_with_nothing_in_it_is_told(tmp_path, packages, draw, task, architecture, told):
    """Whatever is asked, and nothing is written."""
    root, folder = draw(tmp_path / "data"), write_package(packages / "p", task, architecture=architecture)
    with pytest.raises(EvaluationError, match=f"nothing of split 'test' {told}"):
        evaluate(folder, root, "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_balanced_accuracy_is_that_of_the_classes_there():
    """A resample without any knee says nothing about knees, whatever was taken for one."""
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    assert float(classify._balanced_accuracy(scores, torch.tensor([0, 0, 0, 0]), num_classes=2)) == 0.75
    assert float(classify._balanced_accuracy(scores, torch.tensor([0, 0, 1, 1]), num_classes=2)) == 0.75
    assert float(classify._balanced_accuracy(scores, torch.tensor([0, 1, 1, 1]), num_classes=2)) == pytest.approx(2 / 3)


def test_resamples_without_a_truth_have_no_figure():
    """One of two pictures shows nothing: alone, it says nothing of sensitivity."""
    boxes = [detect._Answered(str(n), str(n), "", None, [], torch.zeros(n, 4)) for n in range(2)]
    measures = {measure.name: measure.statistic for measure in detect._measures(boxes, 0.5)}
    assert np.isnan(measures["sensitivity above 0.5"](np.array([0, 0])))
    assert measures["sensitivity above 0.5"](np.array([0, 1])) == 0
