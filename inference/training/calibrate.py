"""From a classifier's logits on validation pictures to its operating point: how sure it may call itself, and below
which score it has no answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

#: This part of the known validation pictures may be turned away for the sake of those that belong to no class.
KNOWN_TURNED_AWAY = 0.04
#: No answer is refused that is surer than this.
_HIGHEST_MINIMUM = 0.99
_BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """One question's part of an operating point, and the figures it was measured with, by name."""

    temperature: float
    minimum_score: float
    figures: dict[str, float]


def temperature_of(logits: Tensor, labels: Tensor) -> float:
    """The number to divide logits (n, classes) by for the lowest negative log-likelihood of labels (n)
    (Guo et al., 2017); between 0.1 and 10."""

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / math.exp(log_temperature), labels))

    return math.exp(minimize_scalar(loss, bounds=(math.log(0.1), math.log(10)), method="bounded").x)


def calibrate(known: Tensor, labels: Tensor, outside: Tensor) -> Calibration:
    """Temperature and minimum score from the logits of known pictures (n, classes) with labels (n), and figures over
    these and over those of pictures that are outside (m, classes), m possibly 0."""
    temperature = round(temperature_of(known, labels), 3)
    scores = (known / temperature).softmax(1)
    best = scores.max(1).values
    minimum = round(min(float(best.quantile(KNOWN_TURNED_AWAY)), _HIGHEST_MINIMUM), 3)
    classes = known.shape[1]
    figures = {
        "accuracy": float(multiclass_accuracy(scores, labels, num_classes=classes, average="micro")),
        "balanced accuracy": float(multiclass_accuracy(scores, labels, num_classes=classes, average="macro")),
        "calibration error": float(multiclass_calibration_error(scores, labels, num_classes=classes, n_bins=_BINS)),
        "pictures": float(len(labels)),
        "known turned away": float((best < minimum).float().mean()),
    }
    if len(outside):
        turned_away = (outside / temperature).softmax(1).max(1).values < minimum
        figures["outside turned away"] = float(turned_away.float().mean())
    return Calibration(temperature, minimum, figures)
