"""A process that ends itself, as `kill -9` would, at one statement of one transaction: before its COMMIT, or after it.

`steps` names every such place that a study passes on its way from the first image to done.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicom_node.archive import Archive
from dicom_node.part_file import PartFile
from dicom_node.spool import Spool
from dicom_node.store.database import Database, Row, Value

#: Named query, the value of `state` where it makes a difference, and the which time: what a study passes whose analysis
#: breaks off once and whose PACS is away at first.
_PLACES: tuple[tuple[str, str, int], ...] = (
    ("add_instance", "", 1),
    ("open_job", "receiving", 1),
    ("note_image", "", 2),
    ("move_job", "ready", 1),
    ("lease_job", "", 1),
    ("move_job", "ready", 2),
    ("lease_job", "", 2),
    ("add_result", "", 2),
    ("add_delivery", "", 3),
    ("move_job", "delivering", 1),
    ("postpone_delivery", "", 1),
    ("decide_delivery", "sent", 1),
    ("decide_delivery", "sent", 2),
    ("move_job", "done", 1),
)
#: Places between transactions, where files change: method of a part, and the which time.
_PARTS: tuple[tuple[type, str, int], ...] = (
    (Spool, "_write_part", 1),
    (PartFile, "seal", 2),
    (Spool, "place", 2),
    (Spool, "sync", 2),
    (Spool, "let_go", 2),
    (Spool, "write_result", 2),
    (Spool, "_move", 1),
    (Archive, "_keep", 2),
)


@dataclass(frozen=True)
class Step:
    """One place to die at: the `time`-th run of a query with its `state`, or of a method; before it, or after."""

    name: str
    state: str
    time: int
    after: bool

    def __str__(self) -> str:
        """`after move_job done 1`."""
        return " ".join(filter(None, ("after" if self.after else "before", self.name, self.state, str(self.time))))


def steps() -> tuple[Step, ...]:
    """Every place, before and after."""
    places = [*_PLACES, *((f"{owner.__name__}.{method}", "", which) for owner, method, which in _PARTS)]
    return tuple(Step(*place, after) for place, after in itertools.product(places, (False, True)))


def arm(step: Step) -> None:
    """From now on this process ends itself at the step."""
    left = itertools.count(step.time - 1, -1)

    def die_now() -> bool:
        return next(left) == 0

    owners = {owner.__name__: owner for owner, _, _ in _PARTS}
    owner_name, _, method = step.name.partition(".")
    if method:
        _arm_method(owners[owner_name], method, die_now, after=step.after)
    else:
        _arm_query(step, die_now)


def _arm_method(owner: type, method: str, die_now: Callable[[], bool], *, after: bool) -> None:
    original = getattr(owner, method)

    def armed(*arguments: object) -> object:
        dies = die_now()
        if dies and not after:
            _die()
        answer = original(*arguments)
        if dies:
            _die()
        return answer

    setattr(owner, method, armed)


def _arm_query(step: Step, die_now: Callable[[], bool]) -> None:
    """Before its transaction is committed, or right after."""
    run, transaction = Database.run, Database._transaction
    doomed: list[bool] = []

    def armed_run(self: Database, query: str, **values: Value) -> list[Row]:
        rows = run(self, query, **values)
        if query == step.name and (not step.state or values["state"] == step.state):
            doomed.append(die_now())
        return rows

    @contextmanager
    def armed_transaction(self: Database, begin: str) -> Iterator[None]:
        with transaction(self, begin):
            yield
            if any(doomed) and not step.after:
                _die()
        if any(doomed):
            _die()

    Database.run = armed_run  # type: ignore[method-assign]
    Database._transaction = armed_transaction  # type: ignore[method-assign,assignment]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
