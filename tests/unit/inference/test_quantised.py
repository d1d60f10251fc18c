"""int8 networks: calibrated on training pictures, judged on validation pictures, refused where they lose too much."""

import importlib
import shutil
import sys
from dataclasses import replace
from types import ModuleType

import openvino
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from inference import architectures, quantised
from inference.architectures import MultiHeadClassifier
from inference.cards import Card, JudgedFigure, Quantisation, loss_of
from inference.compiled import CompiledNetwork, Compiling, Precision, converted
from inference.evaluation import classify, run
from inference.evaluation.figures import Evaluation, Figure
from inference.evaluation.run import EvaluationError
from inference.findings import Task
from inference.models import load, own_network
from inference.quantised import QuantisationError, calibration_of, in_int8, judged_figures, quantise, silent_nncf
from inference.registry import BrokenPackage, open_package
from tests.builders import pictures
from tests.builders.packages import write_package

#: Largest difference of an int8 score 0..1 from torch's, of the network below.
BOUND = 0.01
HAS_INT8 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
in_hardware = pytest.mark.skipif(
    not HAS_INT8, reason="this processor does not multiply bfloat16, nor int8, in hardware"
)


def tiny(questions, channels):
    """Two convolutions, with batch normalisation, and a head per question."""
    layers = [
        nn.Conv2d(channels, 8, 3, stride=4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return MultiHeadClassifier(nn.Sequential(*layers), 16, questions)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a package of that network; intervals of few resamples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.ARCHITECTURES, "tiny", tiny)
        patch.setattr(classify, "_RESAMPLES", 3)
        folder = tmp_path_factory.mktemp("packages") / "tiny"
        yield write_package(folder, architecture="tiny", questions={"modality": ("ct", "mr")})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CT and MR, 18 pictures to calibrate on and 6 to validate."""
    return pictures.labelled(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def made(package, data, tmp_path_factory):
    """What `quantise` makes of them."""
    return quantise(package, data, tmp_path_factory.mktemp("out"))


@pytest.fixture
def squares():
    """Network inputs that differ, within what calibration has seen: grey is 0, white 2."""
    noise = torch.rand(6, 1, 64, 64, generator=torch.Generator().manual_seed(4)) - 0.5
    return (noise + torch.linspace(0, 2, 6).view(-1, 1, 1, 1)).clamp(-2, 2)


def evaluation(**values):
    """One that came to these figures."""
    figures = tuple(Figure(name.replace("_", " "), value, value, value, 6) for name, value in values.items())
    return Evaluation("tiny", "1.0.0", "0" * 64, "classification", "data", "valid", 3, 1, figures, ())


def test_a_package_gets_an_int8_network(package, made, squares):
    """The card records what it was calibrated on and what it lost; the weights stay, and torch answers as before."""
    record = made.card.quantisation
    assert (record.data, record.pictures, record.subjects) == ("data", 18, 9)
    assert [each.name for each in record.judged] == ["modality: accuracy", "modality: balanced accuracy"]
    assert "nncf 3" in record.made_with
    assert made.card.version == "1.0.0+int8"
    assert made.card.weights_sha256 == open_package(package).card.weights_sha256
    assert {path.name for path in made.folder.parent.iterdir()} == {"float32", "int8", "package"}
    with torch.inference_mode():
        before = load(open_package(package)).network(squares)["modality"]
        assert torch.equal(load(made).network(squares)["modality"], before)


@in_hardware
def test_int8_answers_as_torch_does(made, squares):
    """By scores within the bound, which are not all the same; and it is int8 that answers."""
    fast, exact = (load(made, Compiling(precision)).network for precision in (Precision.AUTO, Precision.FLOAT32))
    assert isinstance(fast, CompiledNetwork)
    with torch.inference_mode():
        reference = load(made).network(squares)["modality"].softmax(1)
    scores = fast(squares)["modality"].softmax(1)
    assert (scores - reference).abs().max() < BOUND
    assert (reference.max(0).values - reference.min(0).values).max() > 2 * BOUND
    assert (scores - reference).abs().max() > (exact(squares)["modality"].softmax(1) - reference).abs().max()


@in_hardware
def test_it_is_evaluated_as_the_node_runs_it(made, data, tmp_path, monkeypatch):
    """The card's figures are those of the int8 network, whoever measures them again."""
    asked = []
    monkeypatch.setattr(run, "load", lambda package, compiling: asked.append(compiling) or load(package, compiling))
    found = run.evaluate(made.folder, data, "valid", tmp_path / "again")
    assert asked == [Compiling()]
    assert run.card_figures(found) == made.card.figures


def test_int8_runs_where_the_processor_has_it_and_nobody_asks_for_more(monkeypatch):
    """`precision: f32` and `bf16` mean what they say."""
    card = Card.model_construct(quantisation=object())
    monkeypatch.setattr("inference.compiled.chosen", lambda _precision: Precision.BFLOAT16)
    assert Compiling().wants_int8(card)
    assert not Compiling().wants_int8(Card.model_construct(quantisation=None))
    assert not Compiling(Precision.FLOAT32).wants_int8(card)
    assert not Compiling(Precision.BFLOAT16).wants_int8(card)
    monkeypatch.setattr("inference.compiled.chosen", lambda _precision: Precision.FLOAT32)
    assert not Compiling().wants_int8(card)


def test_a_package_that_would_lose_too_much_stays_as_it_is(package, data, tmp_path, monkeypatch):
    """With the figures that say so; both evaluations are there to be read."""
    results = iter((evaluation(modality__accuracy=0.95), evaluation(modality__accuracy=0.9449)))
    renamed = (replace(each, figures=(replace(each.figures[0], name="modality: accuracy"),)) for each in results)
    monkeypatch.setattr(quantised, "measured", lambda *_arguments: next(renamed))
    monkeypatch.setattr(quantised, "in_int8", lambda whole, _calibration: converted(own_network(whole), whole.card))
    with pytest.raises(QuantisationError, match=r"lose 0\.0051, .* modality: accuracy 0\.9500 to 0\.9449"):
        quantise(package, data, tmp_path / "out")
    assert not (tmp_path / "out" / "package").exists()
    assert (tmp_path / "out" / "int8" / "evaluation.json").exists()


def test_the_worst_figure_decides():
    """What one gains makes up for no other's loss."""
    judged = [JudgedFigure(name=str(n), float32=0.9, int8=value, cases=1) for n, value in enumerate((0.95, 0.8949))]
    assert loss_of(judged) == 0.0051
    with pytest.raises(ValidationError, match="loses"):
        Quantisation(data="d", pictures=1, subjects=1, made_with="x", judged=tuple(judged))


def test_each_task_is_judged_by_its_own_figures():
    """Dice for outlines, average precision for boxes; what is no number judges nothing."""
    found = evaluation(Dice=0.8, IoU=0.6, AP50=0.9)
    assert [each.name for each in judged_figures(Task.SEGMENTATION, found, found)] == ["Dice"]
    assert [each.name for each in judged_figures(Task.DETECTION, found, found)] == ["AP50"]
    with pytest.raises(QuantisationError):
        judged_figures(Task.SEGMENTATION, found, evaluation(Dice=float("nan")))


def test_only_training_pictures_calibrate(package, tmp_path):
    """Of a stack as many slices as a classifier would look at; the third patient is for validation."""
    found = calibration_of(open_package(package).card, pictures.outlined(tmp_path / "outlined"))
    assert (len(found.inputs), found.subjects) == (4, 2)
    assert {each.shape for each in found.inputs} == {(1, 1, 64, 64)}


def test_a_data_set_without_training_pictures_is_told(package, tmp_path):
    """Nothing is calibrated on noise."""
    (tmp_path / "nothing").mkdir()
    with pytest.raises(EvaluationError):
        calibration_of(open_package(package).card, tmp_path / "nothing")


def test_what_has_one_already_is_refused(made, data, tmp_path):
    """It would be judged against itself."""
    with pytest.raises(QuantisationError, match="already"):
        quantise(made.folder, data, tmp_path / "again")


def test_nothing_is_written_over(package, made, data):
    """Told before the minutes that it takes."""
    with pytest.raises(QuantisationError, match="there already"):
        quantise(package, data, made.folder.parent)


def test_a_changed_int8_network_is_a_broken_package(made, tmp_path):
    """Its digest is in the card."""
    changed = shutil.copytree(made.folder, tmp_path / "changed")
    with (changed / "model.bin").open("ab") as file:
        file.write(b"x")
    broken = open_package(changed)
    assert isinstance(broken, BrokenPackage)
    assert "model.bin" in broken.reason


def test_a_card_that_vouches_names_the_files(package):
    """Neither files without a word about them, nor a word without files."""
    card = open_package(package).card.model_dump()
    judged = ({"name": "accuracy", "float32": 0.9, "int8": 0.9, "cases": 6},)
    record = {"data": "d", "pictures": 1, "subjects": 1, "made_with": "x", "judged": judged}
    digests = dict.fromkeys(("model.xml", "model.bin"), "0" * 64)
    assert Card.model_validate(card | {"quantisation": record, "further_sha256": digests}).quantisation
    for change in ({"quantisation": record}, {"further_sha256": digests}):
        with pytest.raises(ValidationError, match="further_sha256"):
            Card.model_validate(card | change)


def test_nothing_is_told_to_the_makers_of_the_library(monkeypatch):
    """Where their telemetry is installed it is hidden before NNCF looks for it."""
    monkeypatch.setitem(sys.modules, "openvino_telemetry", ModuleType("openvino_telemetry"))
    assert silent_nncf().__name__ == "nncf"
    with pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")


def test_without_the_library_the_extra_is_named(package, data, monkeypatch):
    """The node itself does not need it."""
    monkeypatch.setitem(sys.modules, "nncf", None)
    whole = open_package(package)
    with pytest.raises(QuantisationError, match="quantise"):
        in_int8(whole, calibration_of(whole.card, data))
