"""Networks that a customer brings: a file and a card, or an architecture under an entry point; no code of ours."""

import sys

import numpy as np
import onnx
import pytest
import torch

from inference.architectures import build
from inference.cards import Outputs, Preparation
from inference.findings import Task
from inference.models import Classifier, Detector, Segmenter, load
from inference.registry import BrokenPackage, open_package
from tests.builders import foreign
from tests.builders.packages import volume_of, write_package

QUESTIONS = {"brightness": ("dark", "bright"), "kind": ("a", "b", "c")}
LESION = {"lesion": ("lesion",)}


def half_bright(count=3):
    """A stack whose right half is white on all slices."""
    pixels = np.zeros((count, 40, 40), np.float32)
    pixels[:, :, 20:] = 100
    return volume_of(pixels)


def ready(folder):
    """The model in it, or the reason in words."""
    package = open_package(folder)
    return package if isinstance(package, BrokenPackage) else load(package)


@pytest.mark.parametrize("intermediate", [False, True])
@pytest.mark.parametrize("batch", ["n", 1])
def test_a_classifier_from_a_file_answers(tmp_path, intermediate, batch):
    """ONNX or OpenVINO, whatever batch it was made for."""
    folder = foreign.write_foreign(
        tmp_path / "own", foreign.classifier(batch=batch), Task.CLASSIFICATION, QUESTIONS, intermediate=intermediate
    )
    model = ready(folder)
    assert isinstance(model, Classifier)
    bright = np.ones((2, 40, 40))
    bright[:, :, :5] = 0
    answers = model.answers(volume_of(bright))
    assert (answers["brightness"].label, answers["kind"].label) == ("bright", "b")


def test_scores_and_logits_come_to_the_same(tmp_path):
    """The card says which of the two a file gives."""
    volume = half_bright()
    for name, task, make, questions in (
        ("c", Task.CLASSIFICATION, foreign.classifier, QUESTIONS),
        ("s", Task.SEGMENTATION, foreign.segmenter, LESION),
    ):
        logits = ready(foreign.write_foreign(tmp_path / name, make(), task, questions))
        scores = ready(
            foreign.write_foreign(
                tmp_path / f"{name} activated", make(activated=True), task, questions, outputs=Outputs(activated=True)
            )
        )
        if task is Task.CLASSIFICATION:
            one, other = (dict(model.answers(volume)["kind"].scores) for model in (logits, scores))
            assert one == pytest.approx(other, abs=1e-4)
            assert one["b"] == pytest.approx(np.exp(3) / (np.exp(3) + 2), abs=1e-4)
        else:
            assert logits.scores(volume) == pytest.approx(scores.scores(volume), abs=1e-4)


def test_outputs_are_found_by_name(tmp_path):
    """In whatever order the questions stand in the card."""
    turned = dict(reversed(QUESTIONS.items()))
    names = Outputs(names={"kind": "kinds", "brightness": "logits"})
    model = ready(
        foreign.write_foreign(tmp_path / "own", foreign.classifier(), Task.CLASSIFICATION, turned, outputs=names)
    )
    assert model.answers(half_bright())["kind"].label == "b"


def test_a_segmenter_from_a_file_outlines(tmp_path):
    """On the volume's own grid."""
    model = ready(foreign.write_foreign(tmp_path / "own", foreign.segmenter(), Task.SEGMENTATION, LESION))
    assert isinstance(model, Segmenter)
    scores = model.scores(half_bright())
    assert scores.shape == (3, 40, 40)
    assert (scores[:, :, :19] < 0.1).all()
    assert (scores[:, :, 21:] > 0.9).all()


def test_a_detector_from_a_file_draws_boxes(tmp_path):
    """In pixels of the volume; what is below the card's threshold is none."""
    model = ready(foreign.write_foreign(tmp_path / "own", foreign.detector(), Task.DETECTION, LESION))
    assert isinstance(model, Detector)
    boxes = model.boxes(half_bright(2))
    assert [(box.slice_index, round(box.score, 2)) for box in boxes] == [(0, 0.9), (1, 0.9)]
    assert [boxes[0].left, boxes[0].top, boxes[0].right, boxes[0].bottom] == pytest.approx([5, 12.5, 15, 27.5])


def test_a_network_for_colours_is_fed_the_grey_three_times(tmp_path):
    """The card says so."""
    preparation = Preparation(size=32, use_window=False, rgb=True, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = ready(
        foreign.write_foreign(
            tmp_path / "own", foreign.classifier(channels=3), Task.CLASSIFICATION, QUESTIONS, preparation=preparation
        )
    )
    assert model.answers(half_bright())["kind"].label == "b"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"questions": {"brightness": ("dark", "bright", "middling"), "kind": ("a", "b", "c")}}, "shape 1 x 2"),
        ({"questions": {**QUESTIONS, "more": ("x", "y")}}, "no output for more"),
        ({"outputs": Outputs(names={"kind": "kinds"})}, "outputs.names"),
        ({"outputs": Outputs(names={"kind": "kinds", "brightness": "light"})}, "no output 'light'"),
        ({"preparation": Preparation(size=48, use_window=False)}, "model.onnx"),
        ({"preparation": Preparation(size=32, use_window=False, edges=True)}, "model.onnx"),
    ],
)
def test_a_file_its_card_does_not_describe_is_not_loaded(tmp_path, changes, told):
    """Classes, questions, names, size, channels: the reason says which."""
    arguments = {"questions": QUESTIONS, **changes}
    broken = ready(foreign.write_foreign(tmp_path / "own", foreign.classifier(), Task.CLASSIFICATION, **arguments))
    assert isinstance(broken, BrokenPackage)
    assert told in broken.reason


def test_a_file_that_is_no_model_is_not_loaded(tmp_path):
    """The digest may be right all the same."""
    folder = foreign.write_foreign(tmp_path / "own", foreign.classifier(), Task.CLASSIFICATION, QUESTIONS)
    package = open_package(folder)
    (folder / "model.onnx").write_bytes(b"nothing of the sort")
    assert "digest" in open_package(folder).reason
    broken = load(package)
    assert isinstance(broken, BrokenPackage)
    assert "model.onnx" in broken.reason


def test_the_second_file_has_a_digest_too(tmp_path):
    """Another model.bin is another network."""
    folder = foreign.write_foreign(
        tmp_path / "own", foreign.classifier(), Task.CLASSIFICATION, QUESTIONS, intermediate=True
    )
    content = bytearray((folder / "model.bin").read_bytes())
    content[0] ^= 1
    (folder / "model.bin").write_bytes(content)
    assert "model.bin does not have the digest" in open_package(folder).reason


def test_a_model_with_two_inputs_is_told(tmp_path):
    """There is one picture to feed."""
    model = foreign.segmenter()
    model.graph.input.append(onnx.helper.make_tensor_value_info("slope", onnx.TensorProto.FLOAT, []))
    del model.graph.initializer[:]
    broken = ready(foreign.write_foreign(tmp_path / "own", model, Task.SEGMENTATION, LESION))
    assert "2 inputs" in broken.reason


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A distribution that registers an architecture, as pip would install it."""
    folder = tmp_path / "site"
    (folder / "hospital_nets-1.0.dist-info").mkdir(parents=True)
    (folder / "hospital_nets-1.0.dist-info" / "METADATA").write_text("Name: hospital-nets\nVersion: 1.0\n")
    (folder / "hospital_nets-1.0.dist-info" / "entry_points.txt").write_text(
        "[dicom_node.architectures]\ntiny-net = hospital_nets:tiny\n"
    )
    (folder / "hospital_nets.py").write_text(
        "from torch import nn\n\n\n"
        "class Tiny(nn.Module):\n"
        "    def __init__(self, questions, channels):\n"
        "        super().__init__()\n"
        "        self.layers = nn.ModuleDict({n: nn.Linear(channels, len(c)) for n, c in questions.items()})\n\n"
        "    def forward(self, pictures):\n"
        "        return {n: layer(pictures.mean((2, 3))) for n, layer in self.layers.items()}\n\n\n"
        "def tiny(questions, channels):\n"
        "    return Tiny(questions, channels)\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("hospital_nets", None)


@pytest.mark.usefixtures("brought")
def test_an_architecture_may_come_with_another_distribution(tmp_path):
    """Its weights are safetensors as everybody's; it is built, filled and asked by name."""
    model = ready(write_package(tmp_path / "own", architecture="tiny-net", questions=QUESTIONS))
    assert isinstance(model, Classifier)
    assert set(model.answers(half_bright())) == set(QUESTIONS)
    with pytest.raises(KeyError, match="tiny-net"):
        build("tinier-net", QUESTIONS)


@pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning"
)  # of the converter, which traces by torch.jit
def test_the_same_network_answers_the_same_in_either_engine(tmp_path):
    """ResNet50 by torch and, converted, by OpenVINO."""
    import openvino  # noqa: PLC0415  # its converter is needed here alone

    own = ready(write_package(tmp_path / "own", questions={"kind": ("a", "b", "c")}))
    network = build("resnet50", {"kind": ("a", "b", "c")}).eval()
    network.load_state_dict(own.network.state_dict())
    converted = openvino.convert_model(network, example_input=torch.zeros(1, 1, 64, 64))
    size = {"size": 64, "use_window": True}
    folder = foreign.write_converted(tmp_path / "brought", converted, {"kind": ("a", "b", "c")}, Preparation(**size))
    volume = half_bright(4)
    one, other = (dict(model.answers(volume)["kind"].scores) for model in (own, ready(folder)))
    assert one == pytest.approx(other, abs=1e-3)
