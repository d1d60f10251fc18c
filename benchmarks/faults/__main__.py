"""What breaks, and what becomes of it: `python -m benchmarks.faults WHAT [--seed N] [--json FILE]`.

    kills        kill -9 of sender, node, worker and PACS at 100 random moments of a stream of studies
    transitions  the same at each step of a study, before it is committed and after
    fuzz         100,000 mutated association requests, messages and data sets
    callers      200 silent, half-open and slow callers at once

Each prints a line, begins it with `good` or `BAD`, and ends with exit status 0 or 1. The seed makes the same choices
again, though not the same moments.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from benchmarks.faults.callers import run_callers
from benchmarks.faults.fuzz import run_fuzz
from benchmarks.faults.kills import run_kills
from benchmarks.faults.transitions import run_transitions


class Outcome(Protocol):
    """What a benchmark comes to; its text is one line."""

    @property
    def is_good(self) -> bool:
        """Whether what is promised is kept."""

    def told(self) -> dict[str, object]:
        """For JSON."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _run(wanted: argparse.Namespace, folder: Path) -> Outcome:
    match wanted.what:
        case "kills":
            return run_kills(folder, count=wanted.count or 100, seed=wanted.seed, tell=_say)
        case "transitions":
            return run_transitions(folder)
        case "fuzz":
            return run_fuzz(folder, count=wanted.count or 100_000, seed=wanted.seed, tell=_say)
        case "callers":
            return run_callers(folder, count=wanted.count or 200)
    raise ValueError(wanted.what)


def main() -> None:
    """Run one of them, print, and leave a JSON file if asked."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", choices=("kills", "transitions", "fuzz", "callers"))
    arguments.add_argument("--count", type=int, help="kills or inputs; left out: as many as the benchmark says")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--keep", type=Path, help="work in this folder, and leave it for a look")
    wanted = arguments.parse_args()
    _say(f"seed {wanted.seed}")
    if wanted.keep:
        outcome = _run(wanted, wanted.keep)
    else:
        with tempfile.TemporaryDirectory(prefix="dicom-node-faults-") as scratch:
            outcome = _run(wanted, Path(scratch))
    print(outcome)  # noqa: T201
    if wanted.json:
        wanted.json.write_text(json.dumps(outcome.told(), indent=2), encoding="utf-8")
    sys.exit(0 if outcome.is_good else 1)


if __name__ == "__main__":
    main()
