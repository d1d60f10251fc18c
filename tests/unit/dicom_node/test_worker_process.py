"""What the libraries of a worker process find."""

import os

from dicom_node import worker_process


def test_a_workers_libraries_have_its_threads(monkeypatch):
    """The node's own environment is afterwards what it was."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with worker_process._threads_capped(3):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("3", "3")
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("MKL_NUM_THREADS")) == ("7", None)
