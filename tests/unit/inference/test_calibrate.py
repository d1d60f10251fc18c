"""How sure a classifier may call itself, and when it has no answer."""

import pytest
import torch

from inference.training.calibrate import KNOWN_TURNED_AWAY, calibrate, temperature_of


def drawn(factor, count=4000):
    """Logits that are `factor` times as sure as the labels, drawn from them, bear out."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, 3, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * factor, labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_too_much_and_too_little_confidence(factor):
    """Logits that were multiplied are divided by the same number again."""
    assert temperature_of(*drawn(factor)) == pytest.approx(factor, rel=0.1)


def test_calibrated_scores_are_as_often_right_as_they_say():
    """An overconfident network has little calibration error left."""
    logits, labels = drawn(3.0)
    assert calibrate(logits, labels, logits[:0]).figures["calibration error"] < 0.03


def test_the_minimum_score_turns_few_known_pictures_away():
    """And as many as possible of those that belong to no class, whose logits are even."""
    logits, labels = drawn(1.0, 500)
    found = calibrate(logits, labels, torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) * 0.1)
    assert found.figures["known turned away"] <= KNOWN_TURNED_AWAY + 0.01
    assert found.figures["outside turned away"] > 0.9
    assert 1 / 3 <= found.minimum_score <= 0.99
    assert found.figures["pictures"] == 500


def test_without_anything_outside_there_is_no_figure_for_it():
    """A number nobody measured is not told."""
    logits, labels = drawn(1.0, 100)
    assert "outside turned away" not in calibrate(logits, labels, logits[:0]).figures


def test_balanced_accuracy_counts_every_class_alike():
    """A rare class that is always wrong weighs as much as a frequent one that is always right."""
    logits = torch.tensor([[4.0, 0.0]] * 10)
    found = calibrate(logits, torch.tensor([0] * 9 + [1]), logits[:0])
    assert found.figures["accuracy"] == pytest.approx(0.9)
    assert found.figures["balanced accuracy"] == pytest.approx(0.5)
