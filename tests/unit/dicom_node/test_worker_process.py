"""What the libraries of a worker process find."""

import os

from dicom_node import worker_process


def test_a_workers_libraries_have_its_threads_and_these_sleep(monkeypatch):
    """The node's own environment is afterwards what it was."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with worker_process._environment(worker_process._for_libraries(3)):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("3", "passive")
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("OMP_WAIT_POLICY")) == ("7", None)
