"""Who is in, and what is being written."""

import threading
from dataclasses import dataclass

import pytest

from dicom_node.attendance import Attendance, Writing
from dicom_node.domain.errors import OutOfResources


@dataclass(eq=False)
class Association:
    """An association that ends as told."""

    is_released: bool = False
    is_aborted: bool = False
    is_rejected: bool = False
    alive: bool = True

    def is_alive(self):
        """Whether its thread runs."""
        return self.alive


def admitted(attendance):
    """An association that was let in."""
    association = Association()
    attendance.enter(association, lambda _others: None)
    return association


@pytest.mark.parametrize("end", [{"is_released": True}, {"is_aborted": True}, {"is_rejected": True}, {"alive": False}])
def test_an_association_counts_until_it_ends(end):
    """However it ends, it serves no study any more and takes no place."""
    attendance = Attendance()
    association = admitted(attendance)
    attendance.stored(association, "1.2")
    assert attendance.serving("1.2") == 1
    for name, value in end.items():
        setattr(association, name, value)
    assert attendance.serving("1.2") == 0
    counted = []
    attendance.enter(Association(), counted.append)
    assert counted == [()]


def test_who_is_refused_takes_no_place():
    """A rejected association is not among the others the next decision counts."""
    attendance = Attendance()
    counted = []
    admitted(attendance)

    def refuse(others):
        counted.append(len(others))
        return object()

    for _ in range(2):
        assert attendance.enter(Association(), refuse) is not None
    assert counted == [1, 1]


def test_an_end_before_its_note_is_no_error():
    """An object may be recorded just after its association was forgotten."""
    attendance = Attendance()
    gone = admitted(attendance)
    gone.is_aborted = True
    admitted(attendance)
    attendance.stored(gone, "1.2")
    assert attendance.serving("1.2") == 0


def test_none_begins_after_closing():
    """A stopping node answers out of resources."""
    writing = Writing()
    assert writing.close(0.0)
    with pytest.raises(OutOfResources, match="send again"), writing.one_more():
        pytest.fail("began")


def test_closing_waits_for_what_is_written():
    """Closing returns true when the last has finished, false when time is up."""
    writing = Writing()
    closed = []
    with writing.one_more():
        assert not writing.close(0.0)
        waiting = threading.Thread(target=lambda: closed.append(writing.close(20.0)))
        waiting.start()
    waiting.join(20.0)
    assert closed == [True]
