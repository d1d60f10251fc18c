"""How a machine is shared among workers: how many there are, and how many threads each computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dicom_node.control_groups import limits_of

#: From here on there is room for a second worker. With the shipped models a worker has 1.2 GB of its own and 0.6 GB of
#: libraries in common with others, the node 0.2 GB; a large study takes 2 GB more, and only one is analysed at a time.
BYTES_FOR_TWO = 6 * 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: processors, and memory in bytes."""

    cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Share:
    """Worker processes, and CPU threads of each of them."""

    workers: int
    threads: int


def share_of(machine: Machine, *, workers: int | None, threads: int | None) -> Share:
    """As wished; where nothing is, two workers on a machine that has room for them.

    One of several is there for the small studies beside a large one, and mostly idle: the cores are divided among the
    others, so that of two workers each has all. While both compute, the system divides the cores.
    """
    number = workers or (2 if machine.memory_bytes >= BYTES_FOR_TWO else 1)
    return Share(number, threads or max(1, machine.cores // max(1, number - 1)))


def this_machine() -> Machine:
    """As it is now, within the limits of a container or a service."""
    limits = limits_of()
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # a part of a core is left to receiving
    cores = max(1, int(min(len(os.sched_getaffinity(0)), limits.cores)))
    return Machine(cores, int(min(memory_bytes, limits.memory_bytes)))
