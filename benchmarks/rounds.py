"""What every benchmark shares: rounds in which each case has its turn, medians with ranges, ratios, the machine, JSON.

Absolute figures mean little on a shared machine; a ratio of two medians of the same rounds does, from about 1.5 on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity of one case, in every round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Median and range."""
        return f"{self.median:.3g} ({min(self.values):.3g} to {max(self.values):.3g})"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two medians of the same rounds. `goal`: what is promised at least; None: told only."""

    name: str
    value: float
    goal: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the promise is kept; None: there is none."""
        return None if self.goal is None else self.value >= self.goal

    def __str__(self) -> str:
        """One line."""
        word = {None: "", True: "  met", False: "  MISSED"}[self.is_met]
        return f"{self.name}: {self.value:.2f}" + (f" (goal {self.goal:g}){word}" if self.goal is not None else "")


def in_rounds(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Figure]:
    """Each case once a round, so that a slow minute is everybody's; a case returns its own figure."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(case())
    return {name: Figure(tuple(values)) for name, values in found.items()}


def machine() -> dict[str, object]:
    """What it was measured on; no host name, no address."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?"),
        "cores": len(os.sched_getaffinity(0)),
        "bf16": sorted({"amx_bf16", "avx512_bf16"}.intersection(flags)),
        "python": platform.python_version(),
        "system": platform.system(),
        "load before": round(os.getloadavg()[0], 2),
    }


def options(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """`--rounds` and `--json`, which every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each case; left out: {rounds}")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    return parser


def report(
    title: str,
    unit: str,
    figures: Mapping[str, Figure],
    ratios: Iterable[Ratio] = (),
    *,
    on: Mapping[str, object],
    file: Path | None = None,
) -> None:
    """Print a table and the ratios, and leave a JSON file if asked; `on` is `machine()` from before the measurement."""
    kept: Sequence[Ratio] = tuple(ratios)
    table = Table("case", f"{unit}, median (range)", title=title)
    for name, figure in figures.items():
        table.add_row(name, str(figure))
    console = Console(highlight=False)
    console.print(table)
    for ratio in kept:
        console.print(str(ratio))
    if file is not None:
        told = {
            "benchmark": title,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": dict(on),
            "unit": unit,
            "cases": {name: list(figure.values) for name, figure in figures.items()},
            "ratios": [asdict(ratio) | {"met": ratio.is_met} for ratio in kept],
        }
        file.write_text(json.dumps(told, indent=2), encoding="utf-8")
