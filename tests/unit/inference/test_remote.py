"""Networks that are asked elsewhere, and requests of many that share a forward pass."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
import torch

from inference.batching import Batcher
from inference.models import load, load_all
from inference.registry import BrokenPackage, open_package
from inference.remote import RemoteNetwork, alone, lent, to_arrays, to_tensors
from tests.builders.command import eventually
from tests.builders.packages import volume_of

PICTURES = torch.arange(12.0).view(3, 1, 2, 2)


def answers_of_each_kind(pictures):
    """What classifiers, segmenters and detectors give."""
    means = pictures.mean((1, 2, 3))[:, None]
    return {"a": means, "b": -means}, pictures * 2, (means[:, :, None], means)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_answers_survive_the_way(kind):
    """Of each kind, and what is read only there can be written here."""
    answer = answers_of_each_kind(PICTURES)[kind]
    travelled = to_arrays(answer)
    for array in travelled.values() if isinstance(travelled, dict) else travelled:
        array.setflags(write=False)
    found = to_tensors(travelled)
    assert type(found) is type(answer)
    for one, other in zip(_tensors(found), _tensors(answer), strict=True):
        assert torch.equal(one, other)
        one.add_(1)


def _tensors(answer):
    if isinstance(answer, dict):
        return list(answer.values())
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


def test_a_lent_model_is_asked_elsewhere_and_here_where_nobody_answers(packages):
    """The same scores both ways; elsewhere gets the input alone."""
    shelf = load_all({"segmenter": open_package(packages / "segmenter")})
    model, asked, elsewhere = shelf["segmenter"], [], [True]
    stack = volume_of(np.random.default_rng(2).normal(50, 9, (9, 40, 30)))

    def ask(digest, pictures):
        asked.append((digest, pictures.shape))
        with torch.inference_mode():
            return to_arrays(model.network(torch.from_numpy(pictures))) if elsewhere else None

    remote = lent(shelf, ask)["segmenter"]
    expected = model.scores(stack)
    assert np.array_equal(remote.scores(stack), expected)
    elsewhere.clear()
    assert np.array_equal(remote.scores(stack), expected)
    assert asked == [(model.package.digest, (count, 1, 64, 64)) for count in (8, 1, 8, 1)]
    assert remote.differentiable is not None


class Elsewhere:
    """Answers as a model does, to so many at a time; notes how many these were."""

    def __init__(self, model, width, lost=()):
        self._model = model
        self._together = threading.Barrier(width, timeout=30)
        self._lock = threading.Lock()
        self._lost = lost
        self.asked = []

    def __call__(self, _digest, pictures):
        """As `Ask` is; whoever is in a later place answers first."""
        with self._lock:
            number = len(self.asked)
            self.asked.append(len(pictures))
        place = self._together.wait()
        for _ in range(place):
            self._together.wait()
        with self._lock, torch.inference_mode():
            answer = None if number in self._lost else to_arrays(self._model.network(torch.from_numpy(pictures)))
        for _ in range(self._together.parties - 1 - place):
            self._together.wait()
        return answer


@pytest.mark.parametrize("lost", [(), (1,), (0, 5)])
def test_a_study_is_asked_about_side_by_side_where_several_answer(packages, lost):
    """Three at a time, the scores in their order; of what is lost on its way each is computed here."""
    model = load(open_package(packages / "segmenter"))
    stack = volume_of(np.random.default_rng(3).normal(50, 9, (48, 40, 30)))
    elsewhere = Elsewhere(model, 3, lost)
    remote = lent({"a": model}, elsewhere, lambda digest: 3 * (digest == model.package.digest))["a"]
    assert remote.at_once == 24
    assert np.array_equal(remote.scores(stack), model.scores(stack))
    assert elsewhere.asked == [8] * 6


@pytest.mark.parametrize("width", [0, 1])
def test_where_one_answers_or_none_requests_go_one_after_the_other(packages, width):
    """In portions of a forward pass."""
    model = load(open_package(packages / "segmenter"))
    assert lent({"a": model}, lambda *_: None, lambda _: width)["a"].at_once == 8


class Asked:
    """In place of a model: a network that takes two pictures at once."""

    at_once = 2

    def __init__(self, network):
        self.network = network
        self.package = type("Package", (), {"digest": "d"})


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("is_answered", [True, False])
def test_answers_to_parts_are_joined(kind, is_answered):
    """Of each kind, from elsewhere and from here; of a detector the candidates alone."""

    def network(pictures):
        assert len(pictures) <= 2
        answer = answers_of_each_kind(pictures)[kind]
        return (*answer[:1], {"for": "training"}) if kind == 2 else answer

    def ask(_digest, pictures):
        return to_arrays(alone(network(torch.from_numpy(pictures)))) if is_answered else None

    found = RemoteNetwork(Asked(network), ask, lambda _: 2)(PICTURES)
    expected = answers_of_each_kind(PICTURES)[kind]
    assert type(found) is type(expected)
    for one, other in zip(_tensors(found), _tensors(alone(expected)), strict=True):
        assert torch.equal(one, other)


def test_what_is_broken_is_not_lent(tmp_path):
    """It keeps its reason."""
    broken = BrokenPackage(tmp_path, "why")
    assert lent({"a": broken}, lambda _digest, _pictures: None) == {"a": broken}


class Gate:
    """A network that says what it was given, and waits until it may answer."""

    error = RuntimeError

    def __init__(self, kind=1):
        self.kind = kind
        self.sizes = []
        self.may_answer = threading.Semaphore(0)

    def __call__(self, pictures):
        """One pass."""
        self.sizes.append(len(pictures))
        assert self.may_answer.acquire(timeout=30)
        if torch.isnan(pictures).any():
            raise self.error("broken")
        return answers_of_each_kind(pictures)[self.kind]


@pytest.mark.parametrize(("at_once", "sizes"), [(1, [1, 2, 3]), (2, [1, 5]), (8, [1, 5])])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_requests_share_a_pass_as_far_as_they_may(at_once, sizes, kind):
    """And each gets the answer to its own pictures."""
    gate = Gate(kind)
    batcher = Batcher(gate, at_once)
    requests = [PICTURES[:1] + 100, PICTURES[:2] + 200, PICTURES + 300]
    with ThreadPoolExecutor(3) as threads:
        found = []
        for number, request in enumerate(requests, start=1):
            found.append(threads.submit(batcher, request))
            assert eventually(lambda number=number: batcher.unanswered == number and gate.sizes == [1], 30)
        gate.may_answer.release(3)
        for answer, request in zip(found, requests, strict=True):
            expected = answers_of_each_kind(request)[kind]
            for one, other in zip(_tensors(answer.result(30)), _tensors(expected), strict=True):
                assert torch.equal(one, other)
    assert gate.sizes == sizes
    assert batcher.unanswered == 0


def test_a_pass_waits_for_company_and_not_for_ever():
    """It begins when it is full, or else after a moment."""
    gate = Gate()
    gate.may_answer.release(2)
    with ThreadPoolExecutor(2) as threads:
        batcher = Batcher(gate, 2, company_s=600.0)
        found = [threads.submit(batcher, PICTURES[:1])]
        assert eventually(lambda: batcher.unanswered == 1, 30)
        found.append(threads.submit(batcher, PICTURES))
        assert [each.result(30) is not None for each in found] == [True, True]
    assert gate.sizes == [1 + len(PICTURES)]
    assert Batcher(gate, 2, company_s=0.001)(PICTURES) is not None


def test_a_pass_takes_no_more_pictures_than_it_may():
    """A request that is larger by itself is asked alone."""
    gate = Gate()
    batcher = Batcher(gate, 8, pictures=2)
    with ThreadPoolExecutor(4) as threads:
        found = []
        for number, count in enumerate((1, 1, 1, 3), start=1):
            found.append(threads.submit(batcher, PICTURES[:count]))
            assert eventually(lambda number=number: batcher.unanswered == number and gate.sizes == [1], 30)
        gate.may_answer.release(3)
        assert all(each.result(30) is not None for each in found)
    assert gate.sizes == [1, 2, 3]


def test_a_pass_that_breaks_is_tried_again_for_each_alone():
    """Who broke it gets what it raised; whoever was in it, or comes after it, gets an answer."""
    gate = Gate()
    batcher = Batcher(gate, 2)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(batcher, PICTURES)
        assert eventually(lambda: gate.sizes == [3], 30)
        broken = threads.submit(batcher, PICTURES * float("nan"))
        assert eventually(lambda: batcher.unanswered == 2, 30)
        beside = threads.submit(batcher, PICTURES)
        assert eventually(lambda: batcher.unanswered == 3, 30)
        gate.may_answer.release(5)
        assert first.result(30) is not None
        assert isinstance(broken.exception(30), RuntimeError)
        assert beside.result(30) is not None
        assert batcher(PICTURES) is not None
    assert gate.sizes == [3, 6, 3, 3, 3]


def test_a_pass_that_breaks_otherwise_leaves_nobody_waiting():
    """Who is in it gets no answer, who comes after it does."""
    gate = Gate()
    gate.error = KeyError
    batcher = Batcher(gate, 2)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(batcher, PICTURES)
        assert eventually(lambda: gate.sizes == [3], 30)
        pair = [threads.submit(batcher, PICTURES * float("nan")), threads.submit(batcher, PICTURES)]
        assert eventually(lambda: batcher.unanswered == 3, 30)
        gate.may_answer.release(3)
        assert first.result(30) is not None
        assert {type(each.exception(30)) for each in pair} == {KeyError, CancelledError}
        assert batcher(PICTURES) is not None


def test_a_batcher_stands_for_its_network(packages):
    """One request gives what the network gives."""
    model = load(open_package(packages / "segmenter"))
    pictures = torch.zeros(2, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(Batcher(model.network, 4)(pictures), model.network(pictures))
