"""What networks answered is found again by what they were asked, byte by byte, and within a bound."""

import numpy as np
import pytest
import torch

from inference.models import Segmenter, load, remembering, whole_batches
from inference.registry import open_package
from inference.remembering import Interrupted, Memory
from tests.builders.packages import volume_of

BATCH = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)


class Doubling:
    """A network that counts how often it is asked; its answer is as large as the question: 384 bytes."""

    def __init__(self):
        self.asked = 0

    def __call__(self, pictures):
        """As a detector: its answer, and what else it says."""
        self.asked += 1
        return (pictures * 2,)


@pytest.fixture
def network():
    """One that was not asked yet."""
    return Doubling()


def ahead(memory, owner="1.2", may_go_on=lambda: True):
    """Asking ahead, without end unless told."""
    return memory.ahead(owner, may_go_on)


def test_what_was_asked_ahead_is_answered_at_once_and_then_given_up(network):
    """The same numbers are the same question however they lie in memory; a second time in earnest is a new one."""
    memory = Memory(10_000)
    with ahead(memory):
        memory.answer("p", network, BATCH)
        memory.answer("p", network, BATCH.contiguous(memory_format=torch.channels_last))
    assert (network.asked, len(memory), memory.size_bytes) == (1, 1, 384)
    (found,) = memory.answer("p", network, BATCH.contiguous(memory_format=torch.channels_last))
    assert torch.equal(found, BATCH * 2)
    assert (network.asked, len(memory), memory.size_bytes) == (1, 0, 0)
    memory.answer("p", network, BATCH)
    assert (network.asked, len(memory)) == (2, 0)


@pytest.mark.parametrize(
    "other",
    [BATCH[:1], BATCH + 1e-6, BATCH.reshape(3, 2, 4, 4), BATCH.flip(0)],
    ids=["part", "value", "shape", "order"],
)
def test_another_question_is_asked(network, other):
    """A part of the batch is one: who stood beside a picture may have moved its answer in the last digit."""
    memory = Memory(10_000)
    with ahead(memory):
        memory.answer("p", network, BATCH)
    memory.answer("p", network, other)
    memory.answer("q", network, BATCH)
    assert network.asked == 3


def test_the_oldest_goes_when_there_is_no_room(network):
    """What was asked for again is younger; what alone is larger than all room is never kept."""
    memory = Memory(2 * 384)
    with ahead(memory):
        for number in (0, 1, 0, 2):
            memory.answer("p", network, BATCH + number)
        assert (len(memory), memory.size_bytes, network.asked) == (2, 768, 3)
        memory.answer("p", network, BATCH)
        assert network.asked == 3
        memory.answer("p", network, torch.zeros(100, 3, 4, 4))
        memory.answer("p", network, BATCH + 1)
    assert (len(memory), network.asked) == (2, 5)


def test_nothing_more_is_asked_when_something_better_is_to_be_done(network):
    """Before a network is asked; what is known may still be used. Afterwards there is no asking ahead any more."""
    memory = Memory(10_000)
    with ahead(memory):
        memory.answer("p", network, BATCH)
    with ahead(memory, may_go_on=lambda: False):
        memory.answer("p", network, BATCH)
        with pytest.raises(Interrupted):
            memory.answer("p", network, BATCH + 1)
    assert network.asked == 1
    memory.answer("p", network, BATCH + 1)
    assert len(memory) == 1


def test_what_was_remembered_for_a_study_that_is_gone_is_forgotten(network):
    """That of others stays."""
    memory = Memory(10_000)
    for owner, number in (("1.2", 0), ("1.3", 1)):
        with ahead(memory, owner):
            memory.answer("p", network, BATCH + number)
    memory.forget_all_but({"1.3"})
    assert (len(memory), memory.size_bytes) == (1, 384)
    memory.answer("p", network, BATCH + 1)
    assert network.asked == 2


def test_models_answer_through_a_memory_as_without(packages):
    """Bit by bit, whether a batch was seen before or not; and they can still be differentiated."""
    volume = volume_of(np.random.default_rng(1).normal(100, 40, (19, 50, 40)).astype(np.float32))
    plain = {name: load(open_package(packages / name)) for name in ("classifier", "segmenter")}
    memory = Memory(1 << 24)
    models = remembering(plain, memory)
    with ahead(memory):
        models["segmenter"].scores(volume)
        models["classifier"].answers(volume)
    assert len(memory) == 3 + 2
    assert np.array_equal(models["segmenter"].scores(volume), plain["segmenter"].scores(volume))
    assert models["classifier"].answers(volume) == plain["classifier"].answers(volume)
    assert len(memory) == 0
    assert models["segmenter"].differentiable is plain["segmenter"].network


def test_a_network_is_asked_in_its_own_batches_through_a_memory(packages):
    """One that takes more at once, as on a GPU, is not held to those of others."""

    class Network:
        """Tells what it was asked."""

        at_once = 16

        def __init__(self):
            self.sizes = []

        def __call__(self, pictures):
            """Scores of nothing."""
            self.sizes.append(len(pictures))
            return torch.zeros(len(pictures), 1, *pictures.shape[2:])

    network = Network()
    model = Segmenter(open_package(packages / "segmenter"), network)
    remembering({"segmenter": model}, Memory(1 << 20))["segmenter"].scores(volume_of(np.zeros((19, 4, 4))))
    assert network.sizes == [16, 3]


def test_of_a_part_of_a_stack_there_are_only_full_batches():
    """Those that more slices behind them leave as they are."""
    volume = volume_of(np.zeros((19, 4, 4)))
    assert whole_batches(volume, 8).shape == (16, 4, 4)
    assert whole_batches(volume, 8).frames == volume.frames[:16]
    assert whole_batches(volume_of(np.zeros((7, 4, 4))), 8) is None
