"""Evaluations side by side: the same data, the same split, one column each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.evaluation.figures import Table

EVALUATION_FILE = "evaluation.json"


class CompareError(ValueError):
    """Evaluations that cannot stand side by side; says which and why."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What of an evaluation.json is compared."""

    name: str
    data: str
    split: str
    figures: dict[str, tuple[float, float, float]]


def compare(paths: Sequence[Path]) -> Table:
    """From evaluation.json files, or the folders they are in, the figures that any of them has. Raises CompareError."""
    judged = [_read(path / EVALUATION_FILE if path.is_dir() else path) for path in paths]
    first = judged[0]
    for other in judged[1:]:
        if (other.data, other.split) != (first.data, first.split):
            raise CompareError(
                f"{first.name} was evaluated on {first.data}, {first.split}, and {other.name} on {other.data}, "
                f"{other.split}; evaluate them on the same"
            )
    names = dict.fromkeys(name for each in judged for name in each.figures)
    rows = tuple((name, *(_cell(each.figures.get(name)) for each in judged)) for name in names)
    return Table(f"{first.data}, {first.split}", ("figure", *(each.name for each in judged)), rows)


def markdown(table: Table) -> str:
    """The table as Markdown."""
    lines = (table.header, ("---",) * len(table.header), *table.rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _read(path: Path) -> _Judged:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = {each["name"]: (each["value"], each["low"], each["high"]) for each in content["figures"]}
        return _Judged(f"{content['package']} {content['version']}", content["data"], content["split"], figures)
    except OSError as error:
        raise CompareError(f"{path} cannot be read: {error.strerror}; `dicom-node evaluate` makes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CompareError(f"{path} is no evaluation; `dicom-node evaluate` makes one") from error


def _cell(figure: tuple[float, float, float] | None) -> str:
    if figure is None or figure[0] is None:
        return ""
    value, low, high = figure
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
