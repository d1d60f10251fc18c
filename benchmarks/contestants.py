"""What is measured in a process of its own, so that no two share a pool of threads; each runs only when it is asked."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Protocol

#: Does its work once; how much that was, in whatever is counted.
Step = Callable[[], float]

_WARM_UP = 3


class Contestant(Protocol):
    """Can be pickled."""

    def steps(self) -> Sequence[Step]:
        """Made in its own process; of several the best counts."""


@contextmanager
def running(contestants: dict[str, Contestant], seconds: float) -> Iterator[dict[str, Callable[[], float]]]:
    """By name, what makes a contestant run for so long and gives its work per second."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        cases = {}
        for name, contestant in contestants.items():
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(contestant, there), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(here.send, None)
            _answer(here, name)
            cases[name] = _case(here, name, seconds)
        yield cases


def _case(here: Connection, name: str, seconds: float) -> Callable[[], float]:
    def run() -> float:
        here.send(seconds)
        return _answer(here, name)

    return run


def _answer(here: Connection, name: str) -> float:
    try:
        answer: float = here.recv()
    except EOFError:
        raise SystemExit(f"{name} ended before it answered; what it said is above") from None
    return answer


def _serve(contestant: Contestant, there: Connection) -> None:
    steps = contestant.steps()
    for step in steps:
        for _ in range(_WARM_UP):
            step()
    there.send(0.0)
    while (seconds := there.recv()) is not None:
        there.send(max(_rate(step, seconds / len(steps)) for step in steps))


def _rate(step: Step, seconds: float) -> float:
    """Work per second of the middle repetition."""
    rates, end = list[float](), time.perf_counter() + seconds
    while not rates or time.perf_counter() < end:
        started = time.perf_counter()
        done = step()
        rates.append(done / (time.perf_counter() - started))
    return statistics.median(rates)
