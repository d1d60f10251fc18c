"""How a machine is shared among workers."""

import pytest

from dicom_node import capacity
from dicom_node.capacity import Machine, Share, share_of, this_machine
from dicom_node.control_groups import Limits

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory_gib", "wished", "share"),
    [
        (2, 24, {}, Share(2, 2, 1)),
        (1, 24, {}, Share(2, 2, 1)),
        (2, 6, {}, Share(2, 2, 1)),
        (2, 5, {}, Share(1, 1, 2)),
        (32, 256, {}, Share(2, 2, 16)),
        (2, 24, {"workers": 1}, Share(1, 1, 2)),
        (2, 4, {"workers": 2}, Share(2, 2, 1)),
        (2, 24, {"workers": 4}, Share(4, 4, 1)),
        (32, 256, {"workers": 1}, Share(1, 1, 32)),
        (32, 256, {"threads": 3}, Share(2, 2, 3)),
    ],
)
def test_cores_are_divided_among_the_workers(cores, memory_gib, wished, share):
    """As wished where something is; never less than one thread."""
    assert share_of(Machine(cores, memory_gib * GIB), **{"workers": None, "threads": None, **wished}) == share


@pytest.mark.parametrize(
    ("limits", "cores", "memory_bytes"),
    [(Limits(), 1000, 2**60), (Limits(2.9, 4 * GIB), 2, 4 * GIB), (Limits(0.5, 4 * GIB), 1, 4 * GIB)],
)
def test_a_container_has_less_than_the_machine(monkeypatch, limits, cores, memory_bytes):
    """Never less than a core."""
    monkeypatch.setattr(capacity, "limits_of", lambda: limits)
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: range(1000))
    monkeypatch.setattr("os.sysconf", lambda _name: 2**30)
    monkeypatch.setattr(capacity, "_GPUS", ())
    assert this_machine() == Machine(cores, memory_bytes)


@pytest.mark.parametrize(
    ("memory_gib", "wished", "share"),
    [(64, {}, Share(1, 4, 4)), (8, {}, Share(1, 2, 8)), (64, {"workers": 9}, Share(1, 9, 1))],
)
def test_workers_on_a_gpu_share_one_process(memory_gib, wished, share):
    """And its models, so that they may be more."""
    machine = Machine(16, memory_gib * GIB, has_gpu=True)
    assert share_of(machine, **{"workers": None, "threads": None, **wished}) == share


def test_this_machine_has_something():
    """At least a core, and memory for Python."""
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > GIB // 4
