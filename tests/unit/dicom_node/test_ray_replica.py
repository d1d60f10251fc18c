"""What an actor is made of, without a cluster around it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dicom_node.domain.cluster import ClusterError, Replicated
from dicom_node.ray_replica import ReadyPackage
from inference.findings import Task
from inference.models import load
from inference.registry import open_package
from tests.builders.foreign import segmenter, write_foreign
from tests.builders.packages import write_package


@pytest.fixture
def of(tmp_path):
    """A package and how it is to run."""
    before = torch.get_num_threads()
    folder = write_foreign(tmp_path / "brought", segmenter(), Task.SEGMENTATION, {"lesion": ("lesion",)})
    digest = open_package(folder).digest
    yield Replicated(
        "brought", folder, digest, "openvino", "f32", "cpu", tmp_path / "compiled", threads=1, requests_at_once=1
    )
    torch.set_num_threads(before)


def test_a_replica_answers_as_the_network_does(of):
    """Also where what comes cannot be written."""
    pictures = np.random.default_rng(1).normal(0, 1, (3, 1, 32, 32)).astype(np.float32)
    pictures.setflags(write=False)
    network = load(open_package(of.folder)).network
    replica = ReadyPackage(of)
    assert np.array_equal(replica.run(pictures), network(torch.from_numpy(pictures.copy())).numpy())
    assert replica.unanswered() == 0
    assert torch.get_num_threads() == 1


def test_of_a_detector_in_torch_the_candidates_travel(of, tmp_path):
    """What it gives beside them for its training would not; requests may share a pass, too."""
    folder = write_package(
        tmp_path / "boxes", Task.DETECTION, architecture="yolov5n", questions={"lesion": ("lesion",)}
    )
    package = open_package(folder)
    replica = ReadyPackage(
        replace(of, name="boxes", folder=folder, digest=package.digest, engine="torch", requests_at_once=2)
    )
    pictures = np.random.default_rng(1).normal(0, 1, (2, 1, 64, 64)).astype(np.float32)
    (candidates,) = replica.run(pictures)
    with torch.inference_mode():
        expected = load(package).network(torch.from_numpy(pictures).contiguous(memory_format=torch.channels_last))[0]
    assert np.array_equal(candidates, expected.numpy())


@pytest.mark.parametrize(("device", "told"), [("cpu", []), ("auto", ["not_on_gpu"])])
def test_a_gpu_is_used_by_a_share_of_it_alone(of, tmp_path, monkeypatch, caplog, device, told):
    """Also where torch finds one: here it finds one that is not there, and says so when it is asked to."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    folder = write_package(tmp_path / "net", Task.SEGMENTATION)
    ReadyPackage(replace(of, name="net", folder=folder, digest=open_package(folder).digest, device=device))
    assert [record.action for record in caplog.records if hasattr(record, "action")] == told


def test_another_package_than_the_one_that_is_meant_is_refused(of):
    """It is another model, whatever it is called."""
    with pytest.raises(ClusterError, match="brought is another one on this machine"):
        ReadyPackage(replace(of, digest="0" * 64))


def test_a_package_that_is_not_whole_is_refused(of):
    """With its reason."""
    (of.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ClusterError, match="does not have the digest"):
        ReadyPackage(of)
    (of.folder / "card.json").unlink()
    with pytest.raises(ClusterError, match=r"card\.json cannot be read"):
        ReadyPackage(of)
