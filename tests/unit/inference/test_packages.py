"""Model packages on disk: cards, digests, int8 weights, and everything that can be wrong with them."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.architectures import ARCHITECTURES, build
from inference.cards import CARD_FILE, WEIGHTS_FILE, Card
from inference.models import Classifier, Segmenter, load, load_all
from inference.registry import BrokenPackage, Package, installed, open_package, sha256_of
from inference.weights_file import load_weights, save_weights
from tests.builders.packages import QUESTIONS, TUMOUR, volume_of, write_package


@pytest.fixture
def package(packages, tmp_path):
    """A copy of the classifier's folder to spoil; the weights are linked, not copied."""
    folder = tmp_path / "spoiled"
    folder.mkdir()
    for name in (CARD_FILE, WEIGHTS_FILE):
        (folder / name).write_bytes((packages / "classifier" / name).read_bytes())
    return folder


def edit_card(folder, **changes):
    """Change the card's JSON; None removes a key."""
    card = json.loads((folder / CARD_FILE).read_text())
    card.update(changes)
    (folder / CARD_FILE).write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


def replace_by_folder(path):
    """A file that cannot be read, even by root."""
    path.unlink()
    path.mkdir()


def rewrite(folder, state):
    """Other weights, with the right digest in the card."""
    save_file(state, folder / WEIGHTS_FILE)
    edit_card(folder, weights_sha256=sha256_of(folder / WEIGHTS_FILE))


def test_a_whole_package_opens(packages):
    """Card and digest; its algorithm follows the digest."""
    package = open_package(packages / "classifier")
    assert isinstance(package, Package)
    assert package.card.questions == QUESTIONS
    assert package.algorithm.version == "1.0.0"
    assert len(package.algorithm.digest) == 64


def test_another_card_is_another_algorithm(package):
    """A changed operating point changes what the SR identifies."""
    before = open_package(package).algorithm
    edit_card(package, operating_point={"threshold": 0.7})
    assert open_package(package).algorithm.digest != before.digest


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), WEIGHTS_FILE),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"no weights"), "digest"),
        (lambda folder: (folder / CARD_FILE).write_text("{"), CARD_FILE),
        (lambda folder: edit_card(folder, task="guessing"), "task"),
        (lambda folder: edit_card(folder, version=None), "version"),
        (lambda folder: edit_card(folder, colour="red"), "colour"),
        (lambda folder: edit_card(folder, architecture=""), "architecture"),
        (lambda folder: edit_card(folder, file="model.onnx"), "architecture"),
        (lambda folder: edit_card(folder, file="../secrets"), "file"),
        (lambda folder: (folder / CARD_FILE).write_bytes(b"\xff\xfe\x00"), CARD_FILE),
        (lambda folder: (folder / CARD_FILE).write_text("[]"), CARD_FILE),
        (lambda folder: replace_by_folder(folder / CARD_FILE), CARD_FILE),
        (lambda folder: replace_by_folder(folder / WEIGHTS_FILE), WEIGHTS_FILE),
    ],
)
def test_a_broken_package_says_what_is_wrong(package, spoil, told):
    """With the file or key, and what to do."""
    spoil(package)
    broken = open_package(package)
    assert isinstance(broken, BrokenPackage)
    assert told in broken.reason
    assert "install the package again" in broken.reason


def _without(name):
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without("heads.modality.bias"), "do not fit architecture resnet50"),
        (lambda state: {**state, "heads.colour.bias": torch.zeros(2)}, "do not fit architecture resnet50"),
        (lambda state: {**state, "heads.modality.bias": torch.zeros(3)}, "do not fit architecture resnet50"),
        (lambda state: {**state, "heads.modality.bias": torch.full((2,), float("nan"))}, "heads.modality.bias holds"),
    ],
)
def test_weights_that_do_not_fit_are_not_loaded(package, change, told):
    """Missing, too many, of another shape, no numbers."""
    rewrite(package, change(load_file(package / WEIGHTS_FILE)))
    broken = load(open_package(package))
    assert isinstance(broken, BrokenPackage)
    assert told in broken.reason


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_file_that_holds_no_weights_is_not_loaded(package, content):
    """Its digest may be right all the same; it is never unpickled."""
    (package / WEIGHTS_FILE).write_bytes(content)
    edit_card(package, weights_sha256=sha256_of(package / WEIGHTS_FILE))
    assert isinstance(load(open_package(package)), BrokenPackage)


def test_a_pickle_is_not_opened(package, tmp_path):
    """What torch.save writes could run anything; it is told as no weights, and does not run."""

    class Touch:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (package / WEIGHTS_FILE).write_bytes(pickle.dumps(Touch()))
    edit_card(package, weights_sha256=sha256_of(package / WEIGHTS_FILE))
    assert isinstance(load(open_package(package)), BrokenPackage)
    assert not (tmp_path / "ran").exists()


def test_installed_lists_every_folder_with_a_card(packages, tmp_path):
    """Whole and broken ones by folder name; other folders and no folder at all are nothing."""
    assert sorted(installed(packages)) == ["classifier", "segmenter"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / CARD_FILE).write_text("")
    assert list(installed(tmp_path)) == ["broken"]
    assert installed(tmp_path / "nowhere") == {}


def test_int8_rounds_by_half_a_step_at_most(tmp_path):
    """Per output channel; vectors and integers stay exactly as they are."""
    generator = torch.Generator().manual_seed(1)
    state = {
        "weight": torch.randn(5, 4, 3, 3, generator=generator) * torch.tensor([1e-6, 0.1, 1, 10, 0]).view(5, 1, 1, 1),
        "bias": torch.randn(5, generator=generator),
        "count": torch.tensor(12345678901),
    }
    save_weights(state, tmp_path / "weights")
    loaded = load_weights(tmp_path / "weights")
    assert loaded.keys() == state.keys()
    step = state["weight"].abs().flatten(1).amax(1) / 127
    error = (loaded["weight"] - state["weight"]).abs().flatten(1).amax(1)
    assert (error <= 0.5001 * step).all()
    assert torch.equal(loaded["bias"], state["bias"])
    assert torch.equal(loaded["count"], state["count"])


def test_int8_files_are_a_quarter(packages):
    """That is what they are for."""
    stored = (packages / "classifier" / WEIGHTS_FILE).stat().st_size
    floats = sum(tensor.numel() * 4 for tensor in build("resnet50", QUESTIONS).state_dict().values())
    assert stored < 0.27 * floats


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "vgg16"])
def test_classifiers_answer_every_question(name):
    """With logits per class."""
    with torch.inference_mode():
        answer = build(name, QUESTIONS).eval()(torch.zeros(2, 1, 64, 64))
    shapes = {question: tuple(logits.shape) for question, logits in answer.items()}
    assert shapes == {question: (2, len(classes)) for question, classes in QUESTIONS.items()}


@pytest.mark.parametrize("name", ["unet", "attention-unet", "res50-unet"])
def test_segmenters_answer_with_a_map(name):
    """Of the input's size, for each class."""
    with torch.inference_mode():
        assert build(name, TUMOUR).eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("name", "millions"), [("yolov5n", 2.5), ("yolov5s", 9.1), ("yolov5m", 25.0), ("yolov5l", 53.1)]
)
def test_detectors_answer_with_candidates(name, millions):
    """Centre, size and score of each place; the larger ones have more weights."""
    network = build(name, TUMOUR).eval()
    assert sum(weights.numel() for weights in network.parameters()) == pytest.approx(millions * 1e6, rel=0.03)
    with torch.inference_mode():
        candidates, *_ = network(torch.zeros(2, 1, 64, 64))
    assert candidates.shape == (2, 5, 8 * 8 + 4 * 4 + 2 * 2)


def test_every_architecture_is_tested_here():
    """A new one needs a line above."""
    tested = {
        "resnet50",
        "densenet121",
        "vgg16",
        "unet",
        "attention-unet",
        "res50-unet",
        *(f"yolov5{size}" for size in "nsml"),
    }
    assert set(ARCHITECTURES) == tested


def test_an_unknown_architecture_is_told_with_those_there_are():
    """By name."""
    with pytest.raises(KeyError, match="resnet50"):
        build("resnet5000", QUESTIONS)


def test_loaded_models_answer(packages):
    """A classifier answers every question with scores that sum to one; a segmenter scores every voxel."""
    shelf = load_all(installed(packages))
    assert isinstance(shelf["classifier"], Classifier)
    assert isinstance(shelf["segmenter"], Segmenter)
    volume = volume_of(torch.rand(11, 30, 40, generator=torch.Generator().manual_seed(0)).numpy())
    answers = shelf["classifier"].answers(volume)
    assert answers.keys() == QUESTIONS.keys()
    for question, answer in answers.items():
        assert [name for name, _ in answer.scores] == list(QUESTIONS[question])
        assert sum(score for _, score in answer.scores) == pytest.approx(1, abs=1e-5)
        assert len(answer.slices) == 9
    scores = shelf["segmenter"].scores(volume)
    assert scores.shape == (11, 30, 40)
    assert 0 <= scores.min() <= scores.max() <= 1
    parts = shelf["segmenter"].score_parts(volume)
    assert [len(next(parts)), torch.is_inference_mode_enabled(), len(next(parts))] == [8, False, 3]


def test_weights_that_do_not_fit_are_a_broken_package(tmp_path):
    """A card that promises another architecture than the weights are of."""
    folder = write_package(tmp_path / "odd")
    edit_card(folder, architecture="res50-unet", questions={"tumour": ["tumour"]}, task="segmentation")
    broken = load(open_package(folder))
    assert isinstance(broken, BrokenPackage)
    assert "do not fit architecture res50-unet" in broken.reason


def test_an_architecture_nobody_knows_is_a_broken_package(package):
    """With the names that are known."""
    edit_card(package, architecture="perceptron")
    assert "perceptron" in load(open_package(package)).reason


def test_broken_packages_stay_on_the_shelf(tmp_path):
    """So that a stage can say why it was not attempted."""
    broken = BrokenPackage(tmp_path, "it is broken")
    assert load_all({"x": broken}) == {"x": broken}


def test_a_card_survives_its_file(packages, tmp_path):
    """Saved and read again it is the same card."""
    card = open_package(packages / "classifier").card
    card.save(tmp_path)
    assert Card.model_validate_json((tmp_path / CARD_FILE).read_bytes()) == card
