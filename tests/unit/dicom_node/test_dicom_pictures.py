"""A folder of DICOM files as a data set: stacks with what their headers say, and no name of anybody."""

import datetime

from dicom_node.phantoms import phantom_studies
from inference.datasets.describe import describe
from inference.datasets.layouts import layout_of
from tests.builders.command import run
from tests.builders.network import saved

NOON = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


def studies(folder, *kinds):
    """Generated studies as files."""
    chosen = [study for study in phantom_studies(7, NOON) if study.kind in kinds]
    for study in chosen:
        for instance in study.instances:
            saved(instance, folder)
    return chosen


def test_stacks_are_examples(tmp_path):
    """Recognised by the first file; modality, body part and plane are the header's; a patient is a digest."""
    knee, hand = studies(tmp_path, "knee MR", "hand radiograph")
    layout = layout_of(tmp_path)
    assert layout.name == "dicom"
    found = {example.labels["modality"]: example for example in layout.examples(tmp_path)}
    assert set(found) == {"mr", "xr"}
    assert found["mr"].labels["region"] == "knee"
    assert found["mr"].labels["plane"] == "sagittal"
    assert found["mr"].read().pixels.shape[0] == len(knee.instances)
    for study in (knee, hand):
        whose = str(study.instances[0].PatientID)
        assert all(whose not in f"{example.subject} {example.name}" for example in found.values())


def test_it_is_described_like_any_other(tmp_path):
    """By the same command."""
    studies(tmp_path / "in", "knee MR")
    (tmp_path / "in" / "notes.txt").write_text("not DICOM")
    description = describe(layout_of(tmp_path / "in", "dicom").examples(tmp_path / "in"))
    assert (description.examples, description.slices > 0, description.leaks) == (2, True, ())
    assert list(description.unreadable) == ["notes.txt"]
    told = run("data", "describe", tmp_path / "in", "--layout", "dicom")
    assert told.returncode == 0, told.stderr
    assert "sagittal" in told.stdout
