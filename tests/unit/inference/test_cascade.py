"""The cascade: which stage runs when, and how every one of them ends with an answer or a reason."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from pydantic import ValidationError

from inference.cards import OperatingPoint
from inference.cascade import run_cascade
from inference.findings import Agreement, Defect, Outcome, QualityFlag, Task
from inference.interpret import classification
from inference.models import Classifier, Segmenter, load
from inference.registry import BrokenPackage, open_package
from inference.stages import ANY, Cascade, CascadeError, HeaderRule, Stage, load_cascade
from inference.volume import Stated
from tests.builders.packages import TUMOUR, volume_of, write_package

VOLUME = volume_of(np.zeros((3, 8, 8)))
MODALITY = Stage(name="modality", task=Task.CLASSIFICATION, package="classifier", question="modality")
REGION = Stage(
    name="region", task=Task.CLASSIFICATION, package="classifier", question="region", when={"modality": "mr"}
)
TUMOURS = Stage(name="tumour", task=Task.SEGMENTATION, package="segmenter", question="tumour", when={"region": "brain"})
WHOLE = Cascade(stages=(MODALITY, REGION, TUMOURS))


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """A folder to write packages to."""
    return tmp_path_factory.mktemp("cards")


@pytest.fixture(scope="module")
def classifier_package(cards):
    """A package that turns away modalities it is less sure of than 0.6."""
    point = OperatingPoint(minimum_score={"modality": 0.6})
    return open_package(write_package(cards / "classifier", operating_point=point))


@pytest.fixture(scope="module")
def segmenter_package(cards):
    """A package for axial slices."""
    folder = write_package(cards / "segmenter", Task.SEGMENTATION, planes=("axial",), questions=TUMOUR)
    return open_package(folder)


class Knowing(Classifier):
    """A classifier that has its scores by heart, and counts how often it is asked."""

    def __init__(self, package, modality=(0.1, 0.9), region=(0.8, 0.1, 0.1)):
        self.package = package
        self.scores = {"modality": modality, "region": region}
        self.asked = 0

    def answers(self, volume):
        """The same whatever the volume."""
        self.asked += 1
        return {
            question: classification(classes, np.array([self.scores[question]], np.float32), (0,))
            for question, classes in self.package.card.questions.items()
        }


@dataclass
class Painting(Segmenter):
    """A segmenter that paints a box, or breaks."""

    package: object
    error: Exception | None = None
    painted: tuple = field(default=np.s_[1:2, 2:5, 2:5])

    def score_parts(self, volume):
        """0.9 in the box."""
        if self.error is not None:
            raise self.error
        scores = np.zeros(volume.shape, np.float32)
        scores[self.painted] = 0.9
        return [scores]


@pytest.fixture
def shelf(classifier_package, segmenter_package):
    """Both models, in working order."""
    return {"classifier": Knowing(classifier_package), "segmenter": Painting(segmenter_package)}


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.SEGMENTATION])
def test_scores_that_are_no_numbers_are_a_failure(classifier_package, segmenter_package, task):
    """Not an answer, and above all not "nothing found"."""
    package, stage = {
        Task.CLASSIFICATION: (classifier_package, MODALITY),
        Task.SEGMENTATION: (segmenter_package, TUMOURS.model_copy(update={"when": {}})),
    }[task]
    model = load(package)
    for parameter in model.network.parameters():
        parameter.data.fill_(float("nan"))
    volume = volume_of(np.random.default_rng(1).random((2, 64, 64)))
    (run,) = run_cascade(volume, Cascade(stages=(stage,)), {stage.package: model})
    assert (run.outcome, run.algorithm) == (Outcome.FAILED, package.algorithm)


def test_answers_lead_from_stage_to_stage(shelf):
    """MR, then brain, then its tumour; the classifier looks once for two questions."""
    runs = run_cascade(VOLUME, WHOLE, shelf)
    assert [run.outcome for run in runs] == [Outcome.COMPLETE] * 3
    assert [run.classification.label for run in runs[:2]] == ["mr", "brain"]
    assert [segment.mask.count for segment in runs[2].segments] == [9]
    assert [run.algorithm.name for run in runs] == ["classifier", "classifier", "segmenter"]
    assert shelf["classifier"].asked == 1


def test_stages_behind_another_answer_do_not_run(shelf, classifier_package):
    """A CT has no MRI region: that stage is not asked, and not reported."""
    shelf["classifier"] = Knowing(classifier_package, modality=(0.9, 0.1))
    assert [run.stage for run in run_cascade(VOLUME, WHOLE, shelf)] == ["modality"]


def test_looked_and_found_nothing_is_complete(shelf, segmenter_package):
    """Which is not the same as not looked."""
    shelf["segmenter"] = Painting(segmenter_package, painted=np.s_[0:0, 0:0, 0:0])
    run = run_cascade(VOLUME, WHOLE, shelf)[-1]
    assert (run.outcome, run.found_nothing) == (Outcome.COMPLETE, True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shelf: shelf.pop("segmenter"), "segmenter is not installed"),
        (lambda shelf: shelf.update(segmenter=BrokenPackage(None, "it is torn")), "not usable: it is torn"),
        (lambda shelf: shelf.update(segmenter=shelf["classifier"]), "does not answer tumour"),
    ],
)
def test_a_stage_without_its_model_is_refused_with_the_reason(shelf, change, reason):
    """Not attempted, never passed over in silence; the stages before it stand."""
    change(shelf)
    runs = run_cascade(VOLUME, WHOLE, shelf)
    assert [run.outcome for run in runs] == [Outcome.COMPLETE, Outcome.COMPLETE, Outcome.NOT_ATTEMPTED]
    assert reason in runs[-1].reason


def test_a_package_of_another_task_is_refused(shelf):
    """A classifier cannot detect."""
    stage = MODALITY.model_copy(update={"task": Task.DETECTION})
    (run,) = run_cascade(VOLUME, Cascade(stages=(stage,)), shelf)
    assert run.outcome is Outcome.NOT_ATTEMPTED
    assert "does classification, the stage asks for detection" in run.reason


def test_what_is_like_no_class_is_outside_the_models_world(shelf, classifier_package):
    """Below the operating point there is no answer, and nothing that depends on one."""
    shelf["classifier"] = Knowing(classifier_package, modality=(0.45, 0.55))
    (run,) = run_cascade(VOLUME, WHOLE, shelf)
    assert run.outcome is Outcome.NOT_ATTEMPTED
    assert "outside the model's world" in run.reason
    assert "0.55" in run.reason


def test_another_plane_is_refused(shelf):
    """A model for axial slices is not asked about sagittal ones; where no plane is known it is."""
    sagittal = volume_of(np.zeros((3, 8, 8)), directions=((1, 0, 0), (0, 0, -1), (0, 1, 0)))
    run = run_cascade(sagittal, WHOLE, shelf)[-1]
    assert run.outcome is Outcome.NOT_ATTEMPTED
    assert "made for axial slices; these are sagittal" in run.reason
    somewhere = volume_of(np.zeros((3, 8, 8)), spacing=None)
    assert run_cascade(somewhere, WHOLE, shelf)[-1].outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    "kind", [RuntimeError, ValueError, MemoryError, KeyError, IndexError, TypeError, AttributeError, ZeroDivisionError]
)
def test_a_model_that_breaks_fails_its_stage_alone(shelf, segmenter_package, caplog, kind):
    """With the error's type and place, and never its text, in the report and in the log; the stage after it runs."""
    error = kind("secret")
    shelf["segmenter"] = Painting(segmenter_package, error=error)
    again = REGION.model_copy(update={"name": "region again"})
    runs = run_cascade(VOLUME, Cascade(stages=(*WHOLE.stages, again)), shelf)
    assert [run.outcome for run in runs[2:]] == [Outcome.FAILED, Outcome.COMPLETE]
    assert type(error).__name__ in runs[2].reason
    assert "secret" not in runs[2].reason
    assert f"Stage tumour: the model stopped with {kind.__name__} at test_cascade.py:" in caplog.text
    assert "secret" not in caplog.text


HELD_AGAINST = REGION.model_copy(update={"header": HeaderRule(attribute="body_part")})
KNEES = TUMOURS.model_copy(update={"name": "knee tumour", "when": {"region": "knee"}})


@pytest.mark.parametrize(
    ("prefer", "stated", "ran"),
    [
        # the pixels say brain
        ("pixels", "BRAIN", ["tumour: complete"]),
        ("pixels", "KNEE", ["tumour: complete"]),
        ("header", "KNEE", ["knee tumour: complete"]),
        ("header", "CHEST", ["tumour: complete"]),  # no class of the question: the pixels decide
        ("header", "", ["tumour: complete"]),
        ("agree", "BRAIN", ["tumour: complete"]),
        ("agree", "", ["tumour: complete"]),
        ("agree", "KNEE", ["tumour: not attempted", "knee tumour: not attempted"]),
        ("agree", "CHEST", ["tumour: not attempted"]),
    ],
)
def test_where_header_and_pixels_disagree_the_configuration_decides(shelf, prefer, stated, ran):
    """Which way the cascade goes on, or that it does not, and says why."""
    cascade = Cascade(prefer=prefer, stages=(MODALITY, HELD_AGAINST, TUMOURS, KNEES))
    volume = replace(VOLUME, stated=Stated(body_part=stated))
    runs = run_cascade(volume, cascade, shelf)
    assert [f"{run.stage}: {run.outcome}" for run in runs[2:]] == ran
    for run in runs[2:]:
        if run.reason:
            assert run.reason == f"region: the pixels say brain, the header says {stated}"


def test_the_comparison_is_recorded_with_the_answer(shelf):
    """Whatever is preferred; a stage without a rule has none."""
    runs = run_cascade(
        replace(VOLUME, stated=Stated(body_part="KNEE")), Cascade(stages=(MODALITY, HELD_AGAINST)), shelf
    )
    assert runs[0].header is None
    assert (runs[1].header.agreement, runs[1].header.stated) == (Agreement.DISAGREES, "KNEE")


def test_pictures_that_are_not_fit_are_refused_before_anybody_looks(shelf):
    """With the defect; a defect that is only worth a word refuses nothing."""
    blank = QualityFlag(Defect.BLANK, "blank: 100% of it has one grey level", refused=True)
    (run,) = run_cascade(VOLUME, WHOLE, shelf, [blank])
    assert run.outcome is Outcome.NOT_ATTEMPTED
    assert run.reason == "the image quality forbids an answer: blank: 100% of it has one grey level"
    assert shelf["classifier"].asked == 0
    assert len(run_cascade(VOLUME, WHOLE, shelf, [replace(blank, refused=False)])) == 3


def test_the_shipped_cascade_begins_with_the_modality(request):
    """It can be followed, and each condition names a class that the shipped packages or later ones answer."""
    stages = load_cascade(request.config.rootpath / "config" / "cascade.yaml").stages
    assert stages[0].name == "modality"
    assert not stages[0].when
    assert {label for stage in stages for label in stage.when.values()} <= {"mr", "xr", "brain", "knee", ANY}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stages: [", "flow"),
        ("stages: []", "at least 1"),
        ("stages: [{name: a, task: guessing, package: p, question: q}]", "task"),
        ("stages: [{name: a, task: detection, package: p, question: q, color: red}]", "color"),
        ("stages: [{name: a, task: detection, package: p, question: q, when: {b: c}}]", "no earlier stage"),
        ("prefer: luck\nstages: [{name: a, task: detection, package: p, question: q}]", "prefer"),
        (
            "stages: [{name: a, task: detection, package: p, question: q, header: {attribute: plane}}]",
            "against a classification",
        ),
        (
            "stages: [{name: a, task: detection, package: p, question: q},"
            " {name: a, task: detection, package: p, question: q}]",
            "two stages",
        ),
    ],
)
def test_a_wrong_cascade_file_is_told(tmp_path, text, told):
    """With the file and what is wrong in it."""
    path = tmp_path / "cascade.yaml"
    path.write_text(text)
    with pytest.raises(CascadeError, match=r"cascade\.yaml") as caught:
        load_cascade(path)
    assert told in str(caught.value)


def test_a_cascade_file_that_is_no_text_is_told(tmp_path):
    """Bytes that are no UTF-8."""
    path = tmp_path / "cascade.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CascadeError, match=r"cascade\.yaml: cannot be read"):
        load_cascade(path)


def test_a_missing_cascade_file_is_told(tmp_path):
    """By name."""
    with pytest.raises(CascadeError, match=r"nowhere\.yaml"):
        load_cascade(tmp_path / "nowhere.yaml")


def test_no_stage_waits_for_one_in_shadow():
    """Its answer leads nowhere."""
    first = Stage(name="a", task="classification", package="p", question="q", shadow=True)
    with pytest.raises(ValidationError, match="in shadow"):
        Cascade(stages=(first, first.model_copy(update={"name": "b", "shadow": False, "when": {"a": "x"}})))


@pytest.mark.parametrize(("minimum", "stages"), [(0.0, ["a", "b"]), (1.01, ["a"])])  # no score reaches the second
def test_a_stage_may_wait_for_any_answer(tmp_path, minimum, stages):
    """But not for none: what is outside the first model's world does not reach the next."""
    point = OperatingPoint(minimum_score={"modality": minimum})
    model = load(open_package(write_package(tmp_path / "p", operating_point=point)))
    first = Stage(name="a", task=Task.CLASSIFICATION, package="p", question="modality")
    second = Stage(name="b", task=Task.CLASSIFICATION, package="p", question="region", when={"a": "*"})
    assert [run.stage for run in run_cascade(VOLUME, Cascade(stages=(first, second)), {"p": model})] == stages
