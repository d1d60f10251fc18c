"""Evaluations side by side: the same data, the same split, one column each. Importable without torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.evaluation.figures import Table

EVALUATION_FILE = "evaluation.json"


class CompareError(ValueError):
    """Evaluations that cannot stand side by side; says which and why."""


@dataclass(frozen=True, slots=True)
class Value:
    """A figure of one package, with its interval; None where the resamples gave no number."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of every package, in the order of the comparison; None for one that does not have it."""

    figure: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What some packages came to on the same subjects."""

    data: str
    split: str
    subjects: int
    packages: tuple[str, ...]
    rows: tuple[Row, ...]

    def table(self) -> Table:
        """Values with their intervals, as text."""
        title = f"{self.data}, {self.split}, {self.subjects} subjects"
        rows = tuple((row.figure, *map(_cell, row.values)) for row in self.rows)
        return Table(title, ("figure", *self.packages), rows)

    def markdown(self) -> str:
        """The table as Markdown."""
        table = self.table()
        lines = (table.header, ("---",) * len(table.header), *table.rows)
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What of an evaluation.json is compared."""

    name: str
    #: Data set, split and number of subjects.
    basis: tuple[str, str, int]
    figures: dict[str, Value]


def compare(paths: Sequence[Path]) -> Comparison:
    """From evaluation.json files, or the folders they are in, the figures that any of them has. Raises CompareError."""
    judged = [_read(path / EVALUATION_FILE if path.is_dir() else path) for path in paths]
    first = judged[0]
    for other in judged[1:]:
        if other.basis != first.basis:
            raise CompareError(
                f"{first.name} was evaluated on {_told(first)} and {other.name} on {_told(other)}; evaluate them on "
                "the same"
            )
    figures = dict.fromkeys(name for each in judged for name in each.figures)
    rows = tuple(Row(name, tuple(each.figures.get(name) for each in judged)) for name in figures)
    return Comparison(*first.basis, _distinct([each.name for each in judged]), rows)


def _read(path: Path) -> _Judged:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = {
            each["name"]: Value(each["value"], each["low"], each["high"])
            for each in content["figures"]
            if each["value"] is not None
        }
        basis = content["data"], content["split"], content["subjects"]
        return _Judged(f"{content['package']} {content['version']}", basis, figures)
    except OSError as error:
        raise CompareError(f"{path} cannot be read: {error.strerror}; `dicom-node evaluate` makes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CompareError(f"{path} is no evaluation; `dicom-node evaluate` makes one") from error


def _told(judged: _Judged) -> str:
    data, split, subjects = judged.basis
    return f"{data}, {split}, {subjects} subjects"


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Packages of one name and version, trained twice for instance, are numbered in the order they were given."""
    seen = Counter[str]()
    told = []
    for name in names:
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(told)


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return f"{value.value:.3f}"
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
