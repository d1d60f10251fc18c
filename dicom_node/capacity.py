"""How a machine is shared among workers: how many there are, and how many threads each computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

#: From here on a second worker has a core or two of its own, and room for its models.
_CORES_FOR_TWO = 4
_BYTES_FOR_TWO = 12 * 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: processors, and the memory of the machine in bytes."""

    cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Share:
    """Worker processes, and CPU threads of each of them."""

    workers: int
    threads: int


def share_of(machine: Machine, *, workers: int | None, threads: int | None) -> Share:
    """As wished; where nothing is, two workers on a machine that has room for them, and all cores among the workers.

    Threads that outnumber the cores wait for each other at every layer of a network.
    """
    has_room = machine.cores >= _CORES_FOR_TWO and machine.memory_bytes >= _BYTES_FOR_TWO
    number = workers or (2 if has_room else 1)
    return Share(number, threads or max(1, machine.cores // number))


def this_machine() -> Machine:
    """As it is now; a limit on memory that a container has is not seen."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(len(os.sched_getaffinity(0)), pages * page_bytes)
