"""What OpenVINO makes of the project's own networks, held to torch; and how it is kept."""

import logging
from dataclasses import replace

import numpy as np
import openvino
import pytest
import torch
from torch import nn

from inference import models
from inference.compiled import (
    CompiledNetwork,
    Compiling,
    NotConvertibleError,
    Precision,
    compile_model,
    compiled,
    discard_others,
    kept_name,
)
from inference.findings import Task
from inference.models import load, load_all
from inference.registry import open_package
from tests.builders.packages import QUESTIONS, volume_of, write_package

#: Largest difference of a score 0..1 from torch's.
BOUNDS = {Precision.FLOAT32: 1e-4, Precision.BFLOAT16: 0.05}
HAS_BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The smallest detector."""
    return write_package(tmp_path_factory.mktemp("detector") / "detector", Task.DETECTION, architecture="yolov5n")


@pytest.fixture(scope="module")
def stack():
    """A few slices of noise over a shape."""
    noise = np.random.default_rng(5).normal(0, 10, (3, 96, 80))
    noise[:, 30:60, 20:50] += 100
    return volume_of(noise)


@pytest.fixture(params=[Precision.FLOAT32, pytest.param(Precision.BFLOAT16, marks=pytest.mark.skipif(
    not HAS_BFLOAT16, reason="this processor does not multiply bfloat16 in hardware"))])  # fmt: skip
def precision(request):
    """Both that this processor has."""
    return request.param


def test_a_classifier_answers_as_in_torch(packages, stack, precision):
    """The same labels, by scores within the bound."""
    package = open_package(packages / "classifier")
    reference, fast = load(package).answers(stack), load(package, Compiling(precision))
    assert isinstance(fast.network, CompiledNetwork)
    answers = fast.answers(stack)
    assert answers.keys() == reference.keys()
    for question, answer in answers.items():
        assert answer.label == reference[question].label
        assert answer.score == pytest.approx(reference[question].score, abs=BOUNDS[precision])


def test_a_segmenter_scores_as_in_torch(packages, stack, precision):
    """Every voxel within the bound, and nearly all of them far within."""
    package = open_package(packages / "segmenter")
    reference, fast = load(package).scores(stack), load(package, Compiling(precision))
    assert isinstance(fast.network, CompiledNetwork)
    scores = fast.scores(stack)
    assert np.abs(scores - reference).max() < BOUNDS[precision]
    assert np.abs(scores - reference).mean() < BOUNDS[precision] / 10
    assert np.ptp(reference) > 2 * BOUNDS[precision]  # otherwise a flat map would do


def test_a_detector_finds_candidates_as_in_torch(detector, precision):
    """The candidates themselves, before a threshold hides what differs: corners in pixels, scores."""
    package = open_package(detector)
    picture = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    fast = load(package, Compiling(precision))
    assert isinstance(fast.network, CompiledNetwork)
    with torch.inference_mode():
        reference, candidates = load(package).network(picture)[0], fast.network(picture)[0]
    assert candidates.shape == reference.shape
    assert (candidates[:, 4:] - reference[:, 4:]).abs().max() < BOUNDS[precision]
    assert (candidates[:, :4] - reference[:, :4]).abs().max() < 64 * BOUNDS[precision]


def test_it_is_converted_once(packages, tmp_path, stack, monkeypatch):
    """A second start needs no torch network."""
    package, compiling = open_package(packages / "classifier"), Compiling(Precision.FLOAT32, tmp_path / "compiled")
    first = load(package, compiling).answers(stack)
    monkeypatch.setattr(models, "own_network", lambda _package: pytest.fail("converted again"))
    assert load(package, compiling).answers(stack) == first


def test_what_was_kept_damaged_is_made_anew(packages, tmp_path, stack):
    """Cut short by a full disk, say."""
    package, compiling = open_package(packages / "classifier"), Compiling(Precision.FLOAT32, tmp_path / "compiled")
    first = load(package, compiling).answers(stack)
    kept = compiling.folder / kept_name(package.card) / "network.xml"
    kept.write_text(kept.read_text()[:200])
    assert load(package, compiling).answers(stack) == first
    assert len(kept.read_text()) > 200


def test_without_a_place_to_keep_it_the_node_goes_on(packages, tmp_path, stack, caplog):
    """It is converted at each start, and the log says so."""
    (tmp_path / "file").write_text("in the way")
    package = open_package(packages / "classifier")
    with caplog.at_level(logging.WARNING):
        model = load(package, Compiling(Precision.FLOAT32, tmp_path / "file" / "compiled"))
    assert model.answers(stack).keys() == QUESTIONS.keys()
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "0" * 64},
        {"architecture": "vgg16"},
        {"questions": {"modality": ("ct", "mr", "us")}},
    ],
)
def test_another_network_is_kept_elsewhere(packages, change):
    """Never is one taken for another."""
    card = open_package(packages / "classifier").card
    assert kept_name(card.model_copy(update=change)) != kept_name(card)


def test_another_version_of_a_library_converts_anew(packages, monkeypatch):
    """Its conversion may differ."""
    card = open_package(packages / "classifier").card
    before = kept_name(card)
    monkeypatch.setattr("inference.compiled.version", lambda _name: "0")
    assert kept_name(card) != before


def test_networks_of_packages_that_are_gone_are_removed(packages, tmp_path):
    """And leftovers of a process that died while it wrote."""
    package = open_package(packages / "classifier")
    folder = tmp_path / "compiled"
    (folder / "old-0123456789abcdef").mkdir(parents=True)
    (folder / ".part-1").mkdir()
    load_all({"classifier": package}, Compiling(Precision.FLOAT32, folder))
    assert [child.name for child in folder.iterdir()] == [kept_name(package.card)]
    discard_others(folder, [])
    assert not list(folder.iterdir())


class _Untraceable(nn.Module):
    """What it does depends on what it sees."""

    def forward(self, pictures):
        """Not a tensor at all."""
        return {"modality": str(pictures)}


def test_a_network_that_openvino_cannot_run_is_told(packages):
    """By a name of its own, so that the caller can fall back."""
    card = open_package(packages / "classifier").card
    with pytest.raises(NotConvertibleError):
        compiled(card, lambda: _Untraceable().eval(), Compiling())


def test_it_runs_in_torch_then(packages, stack, monkeypatch, caplog):
    """Slower, and the log says so."""
    monkeypatch.setattr("inference.models.compiled", _refuse)
    package = open_package(packages / "classifier")
    with caplog.at_level(logging.WARNING):
        model = load(package, Compiling())
    assert isinstance(model.network, nn.Module)
    assert "runs in torch" in caplog.text


def _refuse(*_arguments):
    raise NotConvertibleError("of no kind it knows")


def test_weights_that_do_not_fit_are_told_as_ever(packages):
    """Compiling hides no broken package."""
    package = open_package(packages / "classifier")
    other = replace(package, card=package.card.model_copy(update={"architecture": "densenet121"}))
    assert "do not fit" in load(other, Compiling()).reason


def test_heat_maps_come_from_the_torch_network(packages, stack):
    """What is compiled has no gradients; the package still has."""
    package = open_package(packages / "classifier")
    fast, reference = load(package, Compiling(Precision.FLOAT32)), load(package)
    assert isinstance(fast.differentiable, nn.Module)
    assert reference.differentiable is reference.network
    square = torch.zeros(1, 1, 64, 64)
    with torch.inference_mode():
        for question, logits in fast.differentiable(square).items():
            assert torch.equal(logits, reference.network(square)[question])


@pytest.mark.parametrize(("cores", "is_bound"), [(1, True), (64, False)])
def test_a_network_with_some_of_the_cores_is_not_bound_to_the_first(monkeypatch, cores, is_bound):
    """Else all processes with few threads would share these, and leave the others idle."""
    monkeypatch.setattr("inference.compiled.os.cpu_count", lambda: cores)
    picture = openvino.opset13.parameter([1, 4], np.float32)
    ready = compile_model(openvino.Model([openvino.opset13.relu(picture)], [picture]), Precision.FLOAT32)
    assert ready.get_property("ENABLE_CPU_PINNING") is is_bound
