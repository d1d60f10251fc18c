"""`kill -9` of sender, node, worker and PACS at random moments of a stream of studies."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.faults.line import Line, Verdict, wait_until

#: From one kill to the next so much has happened to studies at most, and then so much time has passed.
MOST_EVENTS = 30
LONGEST_PAUSE_S = 1.0
#: A part that is away may have everything wait for it.
_LONGEST_WAIT_S = 30.0
#: After the last kill: a lease must run out, the longest back-off so far must pass.
_PATIENCE_S = 300.0


@dataclass(frozen=True)
class Kills:
    """What was killed how often, and what came of it."""

    seed: int
    killed: dict[str, int]
    seconds: float
    verdict: Verdict
    unfinished: dict[str, str]

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, nothing came twice, and every study is done."""
        return self.verdict.is_good and not self.unfinished

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "good": self.is_good}

    def __str__(self) -> str:
        killed = ", ".join(f"{part} {number}" for part, number in sorted(self.killed.items()))
        it = self.verdict
        return (
            f"{'good' if self.is_good else 'BAD'}: seed {self.seed}, {sum(self.killed.values())} kills ({killed}) in "
            f"{self.seconds:.0f} s; {it.studies} studies, {it.acknowledged} instances acknowledged, {it.lost} lost; "
            f"{it.results} results, {it.missing} missing, {it.duplicates} twice, {it.strange} strange; "
            f"{it.opened_again} studies opened again by late images; not done: {', '.join(it.not_done) or 'none'}"
        )


def run_kills(
    folder: Path, *, count: int, seed: int, longest_pause_s: float = LONGEST_PAUSE_S,
    tell: Callable[[str], None] = lambda _line: None,
) -> Kills:  # fmt: skip
    """Kill `count` processes, one at a time, each started again at once; then see what is left of the stream."""
    chance = random.Random(seed)
    line = Line(folder, seed)
    line.prepare()
    started = time.monotonic()
    killed: Counter[str] = Counter()
    try:
        for part in ("pacs", "node", "sender"):
            line.start(part)
        wait_until(lambda: (folder / "node" / "results").exists() and any((folder / "node" / "results").iterdir()), 60)
        while killed.total() < count:
            wait_for_work(line, chance.randint(1, MOST_EVENTS))
            wait_until(lambda: False, chance.uniform(0, longest_pause_s))
            part = chance.choice(line.parts)
            if line.kill(part):
                killed[part] += 1
                tell(f"kill {killed.total()}: {part}")
            if part != "worker":  # the node starts its worker itself
                line.start(part)
        line.end()
        wait_until(lambda: not line.unfinished(), _PATIENCE_S)
        unfinished, verdict = line.unfinished(), line.verdict()
    finally:
        line.stop()
    return Kills(seed, dict(killed), time.monotonic() - started, verdict, unfinished)


def wait_for_work(line: Line, events: int) -> None:
    """Until so many steps were taken, by whichever process: a kill shall fall into work, not into a start."""
    before = line.events()
    wait_until(lambda: line.events() >= before + events, _LONGEST_WAIT_S)
