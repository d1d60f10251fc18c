"""Figures with the interval that chance leaves them: percentile bootstrap over subjects, not over their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Indices of cases -> a number, NaN where they cannot give one.
Statistic = Callable[[NDArray[np.int64]], float]
_SEED = 20261120
#: Sources of fewer pictures have no figures of their own.
_LEAST_OF_A_SOURCE = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A number over all cases, and the bounds within which 95 % of the resamples gave theirs."""

    name: str
    value: float
    low: float
    high: float
    #: Cases it was measured on.
    cases: int
    #: Empty: of all classes, of all sources.
    class_name: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers that belong together, as text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the page, PNG or SVG, with a line below it."""

    content: bytes
    caption: str
    kind: str = "png"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures that belong together."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured of one package on one split of a data set."""

    package: str
    version: str
    #: Of the file, hex: it stays as it is when the figures go into the card.
    weights_sha256: str
    task: str
    data: str
    split: str
    subjects: int
    resamples: int
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    #: Shown on the page only.
    galleries: tuple[Gallery, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A statistic with its name, of everything or of one class or source."""

    name: str
    statistic: Statistic
    class_name: str = ""
    source: str = ""
    #: How many it is of; None: all.
    cases: int | None = None


def numerous(sources: Sequence[str]) -> dict[str, int]:
    """Sources with enough cases for figures of their own, by name, with the number of their cases."""
    return {
        source: count for source, count in sorted(Counter(sources).items()) if source and count >= _LEAST_OF_A_SOURCE
    }


def bootstrap(measure: Measure, subjects: Sequence[str], resamples: int) -> Figure:
    """The statistic over all cases, with its interval when subjects (one name per case) are drawn with replacement.

    Pictures of one patient resemble each other: drawing them one by one would promise more than they tell.
    """
    cases = np.arange(len(subjects))
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    groups = [cases[owner == number] for number in range(owner.max() + 1)]
    generator = np.random.default_rng(_SEED)
    values = []
    for _ in range(resamples):
        drawn = generator.integers(len(groups), size=len(groups))
        values.append(measure.statistic(np.concatenate([groups[number] for number in drawn])))
    known = [value for value in values if not np.isnan(value)]
    low, high = np.percentile(known, (2.5, 97.5)) if known else (float("nan"), float("nan"))
    value = measure.statistic(cases)
    count = len(cases) if measure.cases is None else measure.cases
    return Figure(measure.name, value, float(low), float(high), count, measure.class_name, measure.source)
