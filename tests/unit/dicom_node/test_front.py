"""One worker at a time is at the front."""

import multiprocessing
import os
import signal
import threading

import pytest

from dicom_node.domain.errors import StoreError
from dicom_node.front import Front

PATIENCE_S = 30.0


def hold(storage, told):
    """What another worker does, until it is killed."""
    Front(storage).step_up()
    told.send("at the front")
    told.recv()


def arriving(front):
    """A thread that steps up, and what tells that it is there."""
    there = threading.Event()
    threading.Thread(target=lambda: front.step_up() or there.set(), daemon=True).start()
    return there


def test_the_next_one_comes_when_the_first_steps_aside(tmp_path):
    """Whoever is there already may step up again; who was there waits for the one that came after him."""
    first, second = Front(tmp_path), Front(tmp_path)
    first.step_up()
    first.step_up()
    there = arriving(second)
    assert not there.wait(0.05)
    first.step_aside()
    assert there.wait(PATIENCE_S)
    again = arriving(first)
    assert not again.wait(0.05)
    second.close()
    assert again.wait(PATIENCE_S)
    first.close()


def test_one_that_is_killed_holds_up_nobody(tmp_path):
    """Whatever it was doing."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "at the front"
    there = arriving(Front(tmp_path))
    assert not there.wait(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert there.wait(PATIENCE_S)
    process.join(PATIENCE_S)


def test_a_folder_that_takes_no_file_is_told(tmp_path):
    """With its reason."""
    with pytest.raises(StoreError, match="No such file"):
        Front(tmp_path / "none")
