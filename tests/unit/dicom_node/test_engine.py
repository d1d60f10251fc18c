"""From settings to an engine: what is configured is what an analysis gets."""

import pytest
import torch

from dicom_node.analysis_settings import SHIPPED_CASCADE
from dicom_node.engine import build_engine
from dicom_node.settings import load_settings
from inference.stages import CascadeError, load_cascade
from tests.builders.command import write_config


@pytest.fixture
def settings_of(tmp_path):
    """Settings of a node without model packages, with these variables."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "none").mkdir()
    return lambda **variables: load_settings(
        config,
        {f"DICOM_NODE_{key}": value for key, value in {"MODELS__FOLDER": str(tmp_path / "none"), **variables}.items()},
    )


@pytest.fixture(autouse=True)
def threads():
    """Torch has one number of threads for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_an_engine_is_what_the_settings_say(settings_of):
    """Cascade, packages, treatment of captures, threads, and the AE title that tells installations apart."""
    engine = build_engine(settings_of(LOAD__SECONDARY_CAPTURE="analyse", RUNTIME__THREADS="3"))
    assert engine.cascade == load_cascade(SHIPPED_CASCADE)
    assert engine.shelf == {}
    assert engine.load.secondary_capture == "analyse"
    assert (engine.equipment.ae_title, engine.equipment.device_serial_number) == ("AINODE", "AINODE")
    assert engine.equipment.software_versions
    assert torch.get_num_threads() == 3


def test_a_broken_package_is_on_the_shelf_as_such(settings_of, tmp_path):
    """So that its stages are refused with its reason, and the others work."""
    package = tmp_path / "none" / "cascade-resnet50"
    package.mkdir()
    (package / "card.json").write_text("{}")
    shelf = build_engine(settings_of()).shelf
    assert "card.json" in shelf["cascade-resnet50"].reason


@pytest.mark.parametrize(
    ("device", "is_there", "on_gpu"),
    [("auto", True, True), ("auto", False, False), ("cpu", True, False), ("cuda", False, True)],
)
def test_the_gpu_computes_where_it_is_wanted(settings_of, tmp_path, monkeypatch, device, is_there, on_gpu):
    """Asked for and not there, each network falls back by itself, and says so."""
    given = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: is_there)
    monkeypatch.setattr("dicom_node.engine.load_all", lambda _packages, compiling: given.append(compiling) or {})
    build_engine(settings_of(RUNTIME__DEVICE=device, RUNTIME__COMPILED=str(tmp_path), RUNTIME__PRECISION="f32"))
    assert (given[0].on_gpu, given[0].precision) == (on_gpu, "f32")


def test_a_cascade_that_is_not_there_is_told(settings_of, tmp_path):
    """By its path."""
    with pytest.raises(CascadeError, match=r"gone\.yaml"):
        build_engine(settings_of(MODELS__CASCADE=str(tmp_path / "gone.yaml")))
