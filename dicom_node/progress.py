"""How long work shows that it goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class TrainingStep(Protocol):
    """One batch of a training."""

    @property
    def epoch(self) -> int:
        """1-based."""

    @property
    def epochs(self) -> int:
        """Of the whole training."""

    @property
    def batch(self) -> int:
        """1-based, within the epoch."""

    @property
    def batches(self) -> int:
        """Of one epoch."""

    @property
    def loss(self) -> float:
        """Of this batch."""


class Progress:
    """A context in which work tells how far it is; `total` None where nobody knows how much there is."""

    def __init__(self, console: Console, *, total: int | None = None, what: str = "working") -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._console = console
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=total)
        self.done = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Leave it where it is."""
        self._bar.stop()

    def tell(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def advance(self, text: str = "") -> None:
        """One thing more is done; `text` if there is something to say about it."""
        self.done += 1
        self._bar.update(self._task, completed=self.done)
        if text:
            self.tell(text)

    def step(self, step: TrainingStep) -> None:
        """One batch is done; the training itself tells of each epoch in its log."""
        description = f"epoch {step.epoch} of {step.epochs}, loss {step.loss:.3f}"
        self._bar.update(self._task, completed=step.batch, total=step.batches, description=description)
