"""What people and machines read: tables, JSON, progress, log lines, pictures."""

import datetime
import io
import json
import logging
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dicom_node import tables
from dicom_node.checks import Check, Verdict
from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.status import DeliveryStatus, StudyStatus
from dicom_node.faults import call_path, type_and_place
from dicom_node.logs import configure_logging
from dicom_node.phantoms import phantom_studies
from dicom_node.pictures import draw_study
from dicom_node.progress import Progress
from dicom_node.settings import SHIPPED_MODELS
from dicom_node.summary import summarise
from inference.findings import Analysis, Segment, VolumeAnalysis
from inference.registry import BrokenPackage, installed
from sr_writer.encode import encode
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, classified, headers_of, segmented, volume_of
from tests.builders.datasets import mr_series
from tests.builders.network import saved

DELIVERY = DeliveryStatus("PACS", DeliveryState.PENDING, 2, "no connection", "SR", "1.2", "2.25.1", Path("/r/1.dcm"))
STATUS = StudyStatus(
    study_instance_uid="1.2.840.99999999.1234567890.1234567890.1234567890.123456",
    state="delivering",
    outcome="partial",
    reason="1 results on their way to PACS",
    attempt=1,
    instance_count=3,
    image_count=2,
    received_at=1_800_000_000.0,
    last_image_at=1_800_000_001.5,
    settled_at=1_800_000_007.0,
    finished_at=None,
    summary=summarise(analysis_of(mr_series(), classified("modality", "mr"))).model_dump_json(),
    deliveries=(DELIVERY,),
)


def printed(table, width=60):
    """A table's text, cells joined over line breaks."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return re.sub(r"[│┃\s]+", "", console.file.getvalue())


def test_status_as_json_has_times_people_can_read():
    """ISO 8601 in UTC; the summary is an object; states are words."""
    [record] = json.loads(tables.status_json([STATUS]))
    assert record["received_at"] == "2027-01-15T08:00:00.000+00:00"
    assert record["finished_at"] is None
    assert record["summary"]["volumes"][0]["stages"][0]["label"] == "mr"
    assert record["deliveries"][0]["state"] == "pending"
    assert record["deliveries"][0]["path"] == "/r/1.dcm"


def test_status_of_a_study_without_analysis():
    """There is no summary yet."""
    [record] = json.loads(tables.status_json([replace(STATUS, summary=None, deliveries=())]))
    assert record["summary"] is None
    assert "delivering" in printed(tables.status_table([replace(STATUS, summary=None)]), width=200)


def test_no_table_cuts_a_cell():
    """A narrow terminal breaks lines; a UID stays whole."""
    characters = printed(tables.status_table([STATUS]), width=120)
    for character in "…":
        assert character not in characters
    wide = printed(tables.status_table([STATUS]), width=400)
    assert STATUS.study_instance_uid in wide
    assert "1PACSpending" in wide


def test_checks_are_shown_with_their_verdicts():
    """One row each."""
    text = printed(tables.check_table([Check("disk", Verdict.OK, "fine"), Check("port", Verdict.FAILED, "taken")]))
    assert "diskokfine" in text
    assert "portfailedtaken" in text


def test_models_as_json_have_their_whole_card(tmp_path):
    """A broken one has its reason."""
    packages = {**installed(SHIPPED_MODELS), "torn": BrokenPackage(tmp_path, "it is torn")}
    records = {record["package"]: record for record in json.loads(tables.models_json(packages))}
    assert records["cascade-resnet50"]["card"]["questions"]["mri_region"] == ["brain", "knee"]
    assert records["torn"] == {"package": "torn", "state": "broken", "reason": "it is torn"}
    text = printed(tables.models_table(packages), width=300)
    assert "modalityaccuracy" in text
    assert "itistorn" in text


def test_the_shipped_models_are_as_good_as_the_first_version_must_be():
    """Modality accuracy 0.97, mean Dice per patient 0.65, on validation data, and for research only."""
    packages = installed(SHIPPED_MODELS)
    assert packages["cascade-resnet50"].card.metrics["modality accuracy"] >= 0.97
    assert packages["brain-tumour-res50-unet"].card.metrics["mean patient dice"] >= 0.65
    assert all(package.card.research_only for package in packages.values())


@dataclass
class Step:
    """A training step."""

    epoch: int = 1
    epochs: int = 2
    batch: int = 3
    batches: int = 10
    loss: float = 0.5


def test_progress_is_plain_lines_off_a_terminal():
    """No bar, no colour codes: what is told, a line each."""
    out = io.StringIO()
    with Progress(Console(file=out), total=2, what="files") as progress:
        progress.advance("first [of two]")
        progress.advance()
        progress.step(Step())
    assert out.getvalue() == "first [of two]\n"
    assert progress.done == 2


def test_progress_is_a_bar_on_a_terminal():
    """With how much is done."""
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=True, width=100), total=2, what="files") as progress:
        progress.advance("first")
    assert "1/2" in out.getvalue()
    assert "first" in out.getvalue()


@pytest.fixture
def log_lines(capsys):
    """What a configured log wrote; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("pydicom", "pynetdicom", "highdicom", "py.warnings", "apscheduler")
    levels = {name: logging.getLogger(name).level for name in names}
    yield lambda: [line for line in capsys.readouterr().err.splitlines() if line]
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_log_lines_have_utc_level_place_and_action(log_lines):
    """One event a line."""
    configure_logging("info")
    logging.getLogger("dicom_node.scp").info("Something happened", extra={"action": "it_did"})
    logging.getLogger("dicom_node.scp").debug("Nobody asked")
    [line] = log_lines()
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO +dicom_node\.scp \[it_did\] Something happened"
    assert re.fullmatch(pattern, line)


def test_libraries_that_quote_patients_are_silent(log_lines):
    """Their warnings and log records hold values of data sets."""
    configure_logging("info")
    for name in ("pydicom", "pynetdicom.assoc", "highdicom"):
        logging.getLogger(name).error("Doe^Jane")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("Invalid value Doe^Jane", stacklevel=1)
    assert log_lines() == []


def test_a_fault_is_told_by_type_and_place():
    """Never by its message."""

    def raiser():
        raise ValueError("Doe^Jane")

    with pytest.raises(ValueError, match="Doe") as caught:
        raiser()
    assert re.fullmatch(r"ValueError at test_shown\.py:\d+", type_and_place(caught.value))
    assert re.search(r"test_shown\.py:\d+ > test_shown\.py:\d+", call_path(caught.value))
    assert type_and_place(KeyError("x")) == "KeyError"


@pytest.fixture(scope="module")
def brain():
    """A phantom with a lesion, and results that say exactly where it is."""
    when = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
    study = next(study for study in phantom_studies(21, when) if study.kind == "brain MR")
    run = segmented(study.lesion)
    analysis = Analysis(study.study_instance_uid, (VolumeAnalysis(volume_of(study.instances), (run,)),))
    return study, encode(analysis, headers_of(*study.instances), EQUIPMENT, WHEN)


def panels(picture):
    """The three panels, without names, caption and gaps, as arrays."""
    width = (picture.width - 6) // 3
    array = np.asarray(picture)
    bottom = picture.height - 40  # caption and gap
    return [array[24:bottom, 6 + n * width : n * width + width] for n in range(3)]


def test_a_picture_shows_the_lesion_in_mask_and_outline(brain, tmp_path):
    """The mask is white where the lesion is, and the outline runs around it."""
    study, objects = brain
    instances = [saved(instance, tmp_path / "images") for instance in study.instances]
    results = [saved(result, tmp_path / "results") for result in objects]
    image, mask, overlay = panels(draw_study(instances, results, "brain"))
    shown = study.lesion[int(study.lesion.sum((1, 2)).argmax())]
    scale = 300 / shown.shape[0]
    centre = (np.argwhere(shown).mean(0) + 0.5) * scale - (18, 0)  # panels begin 18 rows below the picture's top
    assert np.argwhere(mask[..., 0] > 127).mean(0) == pytest.approx(centre, abs=1.5)
    assert (mask[..., 0] > 127).sum() == pytest.approx(shown.sum() * scale**2, rel=0.05)
    outline = (overlay != image).any(axis=-1)
    assert np.argwhere(outline).mean(0) == pytest.approx(centre, abs=2.5)
    assert 0 < outline.sum() < 0.6 * (mask[..., 0] > 127).sum()


def test_a_picture_without_findings_is_drawn_too(tmp_path):
    """Colour, and grey without a window: image twice, and a black mask."""
    when = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
    colour = next(study for study in phantom_studies(22, when) if study.kind == "photograph").instances
    grey = mr_series((3, 40, 40), pixels=np.arange(4800).reshape(3, 40, 40))
    for name, datasets in (("colour", colour), ("grey", grey)):
        paths = [saved(dataset, tmp_path / name) for dataset in datasets]
        image, mask, overlay = panels(draw_study(paths, [], name))
        assert mask.max() == 0
        assert np.array_equal(image, overlay)
        assert image.max() > 100


def test_a_segment_of_the_builders_is_one_of_ours():
    """The truth drawn above is a finding like any other."""
    assert isinstance(segmented(np.ones((1, 2, 2), np.bool_)).segments[0], Segment)
