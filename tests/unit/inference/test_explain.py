"""Heat maps: the formula of Grad-CAM where it can be written down, the right grid, and nothing left behind."""

import numpy as np
import pytest
import torch

from dicom_node.analysis_settings import SHIPPED_MODELS
from inference.cascade import run_cascade
from inference.explain import GRAD_CAM, GRAD_CAM_PP, SCORE_MAP, explain
from inference.findings import Outcome, Region, StageRun, Task
from inference.models import load
from inference.phantoms import Ellipsoid, brain_mr
from inference.registry import open_package
from inference.stages import Cascade, Stage
from inference.transforms import prepare
from tests.builders import foreign
from tests.builders.packages import QUESTIONS, TUMOUR, volume_of, write_package

RNG = np.random.default_rng(5)
VOLUME = volume_of(RNG.random((5, 24, 64)))


def ask(model, task, question):
    """One stage, and its run on the volume."""
    cascade = Cascade(stages=(Stage(name="the stage", task=task, package="p", question=question),))
    return cascade, run_cascade(VOLUME, cascade, {"p": model})


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A ResNet50 with weights that mean nothing."""
    return load(open_package(write_package(tmp_path_factory.mktemp("p") / "classifier")))


def test_grad_cam_weighs_what_the_last_layer_sees(classifier):
    """After ResNet's average pooling, a class's weights of the head are the weights of its map."""
    cascade, (run,) = ask(classifier, Task.CLASSIFICATION, "region")
    (heat,) = explain(VOLUME, (run,), cascade, {"p": classifier})
    assert (heat.stage, heat.label, heat.method, heat.slice_index) == (
        "the stage", run.classification.label, GRAD_CAM, 2
    )  # fmt: skip
    pictures, placement = prepare(VOLUME.pixels, VOLUME.window, classifier.package.card.preparation)
    seen = []
    hook = classifier.network.trunk.layer4.register_forward_hook(lambda *parts: seen.append(parts[2].detach()))
    classifier.network(pictures[[2]])
    hook.remove()
    weights = classifier.network.heads["region"].weight[QUESTIONS["region"].index(heat.label)].detach()
    wanted = torch.einsum("c,ncyx->nyx", weights, seen[0]).clamp(min=0)
    wanted = torch.nn.functional.interpolate(wanted[:, None], (64, 64), mode="bilinear")
    wanted = placement.restore(wanted[:, 0])[0].numpy()
    assert heat.values.shape == (24, 64)
    assert heat.values.max() == 1
    assert heat.values == pytest.approx(wanted / wanted.max(), abs=0.02)


def test_explaining_changes_no_answer(classifier):
    """Neither hooks nor gradients stay."""
    cascade, (before,) = ask(classifier, Task.CLASSIFICATION, "modality")
    explain(VOLUME, (before,), cascade, {"p": classifier})
    _, (after,) = ask(classifier, Task.CLASSIFICATION, "modality")
    assert after.classification == before.classification
    assert all(parameter.grad is None for parameter in classifier.network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in classifier.network.modules())


@pytest.mark.parametrize("architecture", ["densenet121", "vgg16"])
def test_the_other_classifiers_are_explained_too(tmp_path, architecture):
    """Their layers are known by name."""
    model = load(open_package(write_package(tmp_path / "p", architecture=architecture)))
    cascade, runs = ask(model, Task.CLASSIFICATION, "modality")
    (heat,) = explain(VOLUME, runs, cascade, {"p": model})
    assert heat.values.shape == (24, 64)
    assert np.isfinite(heat.values).all()
    assert 0 <= heat.values.min() <= heat.values.max() <= 1


def test_a_detector_is_explained_on_the_slice_of_its_best_box(tmp_path):
    """By the score of that slice's best candidate."""
    model = load(open_package(write_package(tmp_path / "p", Task.DETECTION, architecture="yolov5n", questions=TUMOUR)))
    cascade, _ = ask(model, Task.DETECTION, "tumour")
    boxes = (Region("tumour", 0.9, 3, 4, 4, 20, 20), Region("tumour", 0.8, 1, 4, 4, 20, 20))
    run = StageRun("the stage", Task.DETECTION, Outcome.COMPLETE, regions=boxes)
    (heat,) = explain(VOLUME, (run,), cascade, {"p": model})
    assert (heat.slice_index, heat.label, heat.values.shape) == (3, "tumour", (24, 64))
    assert np.isfinite(heat.values).all()


@pytest.mark.parametrize("seed", [3, 8])
def test_the_shipped_detectors_map_peaks_in_its_box(seed):
    """Other layers than the one from whose cells the box comes say nothing about it."""
    model = load(open_package(SHIPPED_MODELS / "brain-tumour-yolov5"))
    rng = np.random.default_rng(seed)
    drawn = brain_mr(rng, (3, 256, 256), Ellipsoid((0.0, 0.1, -0.3), (0.9, 0.16, 0.13)))
    volume = volume_of(drawn.pixels)
    (question,) = model.package.card.questions
    cascade = Cascade(stages=(Stage(name="the stage", task=Task.DETECTION, package="p", question=question),))
    (run,) = run_cascade(volume, cascade, {"p": model})
    (heat,) = explain(volume, (run,), cascade, {"p": model})
    box = run.regions[0]
    row, column = np.unravel_index(heat.values.argmax(), heat.values.shape)
    assert (heat.method, heat.slice_index, heat.values.max()) == (GRAD_CAM_PP, box.slice_index, 1)
    assert box.left - 8 <= column <= box.right + 8  # a cell of the layer is 8 pixels of the network's picture
    assert box.top - 8 <= row <= box.bottom + 8


def test_a_segmenter_shows_its_scores(packages):
    """On the slice on which the largest lesion is largest."""
    model = load(open_package(packages / "segmenter"))
    point = model.package.card.operating_point.model_copy(update={"threshold": float(np.median(model.scores(VOLUME)))})
    changed = type(model.package)(
        model.package.folder, model.package.card.model_copy(update={"operating_point": point}), model.package.digest
    )
    model = type(model)(changed, model.network)
    cascade, (run,) = ask(model, Task.SEGMENTATION, "tumour")
    (heat,) = explain(VOLUME, (run,), cascade, {"p": model})
    assert heat.method == SCORE_MAP
    assert heat.slice_index == int(run.segments[0].mask.whole().sum((1, 2)).argmax())
    assert np.array_equal(heat.values, model.scores(VOLUME)[heat.slice_index])


def test_what_did_not_answer_is_not_explained(classifier):
    """Refused stages, and stages that found nothing."""
    cascade, _ = ask(classifier, Task.CLASSIFICATION, "modality")
    refused = StageRun("the stage", Task.CLASSIFICATION, Outcome.NOT_ATTEMPTED, reason="no")
    assert explain(VOLUME, (refused,), cascade, {"p": classifier}) == ()


def test_a_network_without_gradients_says_so(tmp_path):
    """What runs elsewhere is not explained, and the reason is told."""
    questions = {"brightness": ("dark", "bright"), "kind": ("a", "b", "c")}
    folder = foreign.write_foreign(tmp_path / "own", foreign.classifier(), Task.CLASSIFICATION, questions)
    model = load(open_package(folder))
    cascade, runs = ask(model, Task.CLASSIFICATION, "kind")
    (heat,) = explain(VOLUME, runs, cascade, {"p": model})
    assert heat.values is None
    assert "model.onnx" in heat.reason
