"""Networks as a GPU runs them, held to torch: on the processor as far as that goes, on a GPU where there is one."""

import logging
import threading

import pytest
import torch
from torch import nn

from inference.architectures import build
from inference.compiled import Answers, CompiledNetwork, Compiling, Precision
from inference.findings import Task
from inference.gpu import SIZES, Batch, GpuNetwork, batches, gpu_network, number_format
from inference.models import load, own_network
from inference.registry import open_package
from tests.builders.packages import volume_of, write_package

#: Largest difference of a score 0..1 from torch's.
BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.05}
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=on_a_gpu)]
FORMS = [torch.float32, torch.bfloat16]


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The smallest detector."""
    return write_package(tmp_path_factory.mktemp("detector") / "detector", Task.DETECTION, architecture="yolov5n")


@pytest.fixture
def squares():
    """As many network inputs as fill no size, all different."""
    return torch.rand(5, 1, 64, 64, generator=torch.Generator().manual_seed(2)) * 4 - 2


def made_for(package, device, form):
    """A package's network as a GPU would run it."""
    return GpuNetwork(own_network(package), package.card, torch.device(device), form)


def scores_of(answer):
    """What an answer comes to, 0..1: of several questions that of the first."""
    if isinstance(answer, dict):
        return answer["modality"].softmax(1)
    return answer[0][:, 4:] if isinstance(answer, tuple) else answer.sigmoid()


@pytest.mark.parametrize(
    ("count", "cut"),
    [
        (0, ()),
        (1, (Batch(0, 1, 1),)),
        (3, (Batch(0, 3, 4),)),
        (9, (Batch(0, 9, 16),)),
        (32, (Batch(0, 32, 32),)),
        (70, (Batch(0, 32, 32), Batch(32, 64, 32), Batch(64, 70, 8))),
    ],
)
def test_a_stack_is_cut_into_few_sizes(count, cut):
    """Every picture is in one batch, and no batch is less than half full."""
    assert batches(count) == cut
    assert all(batch.stop - batch.start > batch.size // 2 for batch in cut)


def test_numbers_are_as_short_as_is_safe():
    """float16 where there is no bfloat16; never where float32 is asked for."""
    assert number_format(Precision.AUTO, has_bfloat16=True) is torch.bfloat16
    assert number_format(Precision.AUTO, has_bfloat16=False) is torch.float16
    assert number_format(Precision.BFLOAT16, has_bfloat16=True) is torch.bfloat16
    assert number_format(Precision.FLOAT32, has_bfloat16=True) is torch.float32


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["classifier", "segmenter", "detector"])
def test_answers_are_as_torchs(packages, detector, squares, kind, form, device):
    """Of every task: on the processor, in float32, one per picture though the batch was padded."""
    package = open_package(detector if kind == "detector" else packages / kind)
    fast = made_for(package, device, form)(squares)
    with torch.inference_mode():
        reference = own_network(package)(squares)
    assert type(fast) is type(reference)
    scores, expected = scores_of(fast), scores_of(reference)
    assert (scores.dtype, scores.device.type, scores.shape) == (torch.float32, "cpu", expected.shape)
    assert (scores - expected).abs().max() < BOUNDS[form]


class _Watched(nn.Module):
    """Remembers what it was given; answers with the mean of each picture."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 1, 1)
        nn.init.constant_(self.layer.weight, 0.5)
        nn.init.zeros_(self.layer.bias)
        self.seen = []

    def forward(self, pictures):
        """As a classifier."""
        self.seen.append((len(pictures), pictures.is_contiguous(memory_format=torch.channels_last)))
        return {"modality": self.layer(pictures).mean((2, 3)).expand(-1, 2)}


@pytest.fixture
def watched(packages):
    """Such a network, and as it runs."""
    network, card = _Watched(), open_package(packages / "classifier").card
    card = card.model_copy(update={"questions": {"modality": ("ct", "mr")}})
    return network, GpuNetwork(network, card, torch.device("cpu"), torch.float32)


def test_a_long_stack_comes_back_in_order(watched):
    """What padded one batch is in no answer, nor is it left over for the next."""
    network, fast = watched
    stack = torch.arange(70.0).view(-1, 1, 1, 1).expand(-1, 2, 4, 4)
    for part in (stack, stack[10:13], stack.flip(0)):
        assert torch.equal(fast(part)["modality"][:, 0], part[:, 0, 0, 0])
    assert [count for count, _ in network.seen] == [32, 32, 8, 4, 32, 32, 8]
    assert {count for count, _ in network.seen} <= set(SIZES)
    assert all(channels_last for _, channels_last in network.seen)


def test_only_products_are_short(packages):
    """Normalisation keeps its float32."""
    network = own_network(open_package(packages / "classifier"))
    GpuNetwork(network, open_package(packages / "classifier").card, torch.device("cpu"), torch.bfloat16)
    assert network.trunk.conv1.weight.dtype is torch.bfloat16
    assert network.trunk.bn1.weight.dtype is network.trunk.bn1.running_var.dtype is torch.float32


def test_threads_take_turns(packages, squares):
    """Each gets its own answer, though all write to the same memory."""
    fast = made_for(open_package(packages / "classifier"), "cpu", torch.float32)
    alone = [fast(squares[[n]])["modality"] for n in range(len(squares))]
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: fast(squares[[n]])["modality"]}))
        for n in range(len(squares))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[n], alone[n]) for n in range(len(squares)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_processor_computes(packages, caplog):
    """The log says so, and the study gets its answer."""
    with caplog.at_level(logging.WARNING):
        model = load(open_package(packages / "classifier"), Compiling(Precision.FLOAT32, on_gpu=True))
    assert isinstance(model.network, CompiledNetwork)
    assert "runs on the processor" in caplog.text
    with pytest.raises(RuntimeError, match="no GPU"):
        gpu_network(build("resnet50", {"modality": ("ct", "mr")}), model.package.card, Precision.AUTO)


def test_a_model_hands_over_as_much_as_its_network_takes(packages):
    """A GPU's hides transfers behind computing only where it gets many pictures at once."""
    package = open_package(packages / "segmenter")
    slow, fast = load(package), load(package)
    fast.network = made_for(package, "cpu", torch.float32)
    stack = volume_of(torch.rand(11, 20, 20, generator=torch.Generator().manual_seed(3)).numpy())
    asked = []
    for model in (slow, fast):
        network = model.network
        model.network = _Counting(network, asked)
        scores = model.scores(stack)
    assert asked == [8, 3, 11]
    assert scores.shape == (11, 20, 20)


class _Counting:
    """Notes how many pictures a network gets at once."""

    def __init__(self, network, asked):
        self._network = network
        self._asked = asked
        if isinstance(network, GpuNetwork):
            self.at_once = network.at_once

    def __call__(self, pictures):
        """As the network."""
        self._asked.append(len(pictures))
        return self._network(pictures)


@on_a_gpu
def test_a_pass_is_captured_once(packages, squares):
    """And what is replayed answers for what it is given, not for what it was captured with."""
    package = open_package(packages / "classifier")
    fast = gpu_network(own_network(package), package.card, Precision.FLOAT32)
    first, second = fast(squares)["modality"], fast(squares.flip(0))["modality"]
    assert len(fast._passes) == 1
    assert torch.allclose(first, second.flip(0), atol=1e-4)
    with torch.inference_mode():
        assert torch.allclose(first, Answers(own_network(package))(squares)[0], atol=1e-3)
