"""How a machine is shared among workers."""

import pytest

from dicom_node.capacity import Machine, Share, share_of, this_machine

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory_gib", "wished", "share"),
    [
        (2, 24, {}, Share(1, 2)),
        (4, 8, {}, Share(1, 4)),
        (4, 16, {}, Share(2, 2)),
        (32, 256, {}, Share(2, 16)),
        (2, 24, {"workers": 2}, Share(2, 1)),
        (2, 24, {"workers": 4}, Share(4, 1)),
        (32, 256, {"workers": 1}, Share(1, 32)),
        (32, 256, {"threads": 3}, Share(2, 3)),
    ],
)
def test_cores_are_divided_among_the_workers(cores, memory_gib, wished, share):
    """As wished where something is; never less than one thread."""
    assert share_of(Machine(cores, memory_gib * GIB), **{"workers": None, "threads": None, **wished}) == share


def test_this_machine_has_something():
    """At least a core, and memory for Python."""
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > GIB // 4
