"""How a machine is shared among workers: how many there are, and how many threads each computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dicom_node.control_groups import limits_of

#: From here on there is room for a second worker. With the shipped models a worker has 1.2 GB of its own and 0.6 GB of
#: libraries in common with others, the node 0.2 GB; a large study takes 2 GB more, and only one is analysed at a time.
BYTES_FOR_TWO = 6 * 10**9
#: Studies at once on a GPU, where they share one set of models; each may be a large one but one, and then takes 2 GB.
_ON_GPU, _ON_SMALL_WITH_GPU = 4, 2
_BYTES_FOR_FOUR_ON_GPU = 12 * 10**9
#: Files of drivers of GPUs that torch may know. Where it does not, all workers share one process all the same.
_GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: processors, memory in bytes, and whether there may be a GPU."""

    cores: int
    memory_bytes: int
    has_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """Worker processes, workers in all of them, and CPU threads of each worker."""

    processes: int
    workers: int
    threads: int


def share_of(machine: Machine, *, workers: int | None, threads: int | None) -> Share:
    """As wished; where nothing is, two workers on a machine that has room for them, each with a process of its own, and
    all cores among the workers: threads that outnumber the cores wait for each other at every layer of a network.

    On a GPU all workers are in one process, so that pictures of several studies share a forward pass.
    """
    if machine.has_gpu:
        number = workers or (_ON_GPU if machine.memory_bytes >= _BYTES_FOR_FOUR_ON_GPU else _ON_SMALL_WITH_GPU)
    else:
        number = workers or (2 if machine.memory_bytes >= BYTES_FOR_TWO else 1)
    return Share(1 if machine.has_gpu else number, number, threads or max(1, machine.cores // number))


def this_machine() -> Machine:
    """As it is now, within the limits of a container or a service."""
    limits = limits_of()
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # a part of a core is left to receiving
    cores = max(1, int(min(len(os.sched_getaffinity(0)), limits.cores)))
    return Machine(cores, int(min(memory_bytes, limits.memory_bytes)), any(each.exists() for each in _GPUS))
