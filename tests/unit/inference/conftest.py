"""Small networks run fastest on one thread, and leave the other cores to other tests."""

import pytest
import torch

from inference.findings import Task
from tests.builders.packages import write_package


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """For all of this folder."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder with a classifier and a segmenter."""
    folder = tmp_path_factory.mktemp("packages")
    write_package(folder / "classifier")
    write_package(folder / "segmenter", Task.SEGMENTATION)
    return folder
