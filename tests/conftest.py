"""Before anything imports torch: tests run side by side, and threads that wait by spinning would take their cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of the test's own."""
    store = Store.open(tmp_path / "node.db")
    yield store
    store.close()
