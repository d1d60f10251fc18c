"""Changes that many threads want at the same moment, made by one of them for all, in one transaction.

A flush of the disk costs as much for one row as for ten. Nobody waits for company: who comes first begins at once, and
who comes meanwhile is company for the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dicom_node.domain.errors import StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Wish(Generic[Item, Result]):
    item: Item
    #: One when it is granted.
    results: list[Result] = field(default_factory=list)
    #: It was taken together with others, and that is over.
    is_taken: bool = False


class Grouped(Generic[Item, Result]):
    """Calls `make` with all that has gathered; it makes all changes or none, and gives the result of each in order."""

    def __init__(self, make: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._make = make
        self._gathering = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Wish[Item, Result]] = []

    def __call__(self, item: Item) -> Result:
        """Have one change made, and return when it is; raises what `make` raises over it alone."""
        wish: _Wish[Item, Result] = _Wish(item)
        with self._gathering:
            self._waiting.append(wish)
        with self._turn:
            if not wish.is_taken:
                self._take_all()
            if not wish.results:  # it is alone, or was in bad company
                self._grant([wish])
        return wish.results[0]

    def _take_all(self) -> None:
        with self._gathering:
            taken, self._waiting = self._waiting, []
        for wish in taken:
            wish.is_taken = True
        if len(taken) > 1:
            with suppress(StoreError):  # then each is tried by itself, in its own thread
                self._grant(taken)

    def _grant(self, wishes: Sequence[_Wish[Item, Result]]) -> None:
        results = self._make([wish.item for wish in wishes])
        for wish, result in zip(wishes, results, strict=True):
            wish.results.append(result)
