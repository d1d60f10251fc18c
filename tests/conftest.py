"""Before anything imports torch: tests run side by side, and threads that wait by spinning would take their cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node import workers
from dicom_node.capacity import Machine
from dicom_node.store import Store


@pytest.fixture(scope="session", autouse=True)
def _one_worker() -> Iterator[None]:
    """A node in a test's own process has one unless it is told otherwise: a second takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "this_machine", lambda: Machine(os.cpu_count() or 1, 1))
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of the test's own."""
    store = Store.open(tmp_path / "node.db")
    yield store
    store.close()
