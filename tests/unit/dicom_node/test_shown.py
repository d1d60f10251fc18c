"""What people and machines read: tables, JSON, progress, log lines."""

import io
import json
import logging
import re
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dicom_node import tables
from dicom_node.analysis_settings import SHIPPED_MODELS
from dicom_node.checks import Check, Verdict
from dicom_node.demo import DemoStudy, Returned
from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.status import DeliveryStatus, StudyStatus
from dicom_node.domain.urgency import Urgency
from dicom_node.faults import call_path, type_and_place
from dicom_node.logs import configure_logging
from dicom_node.offline import AnalysedFolder
from dicom_node.phantoms import PhantomStudy
from dicom_node.progress import Progress
from dicom_node.summary import summarise
from inference.registry import BrokenPackage, InstalledVersion, Library, installed
from tests.builders.analyses import analysis_of, classified, segmented
from tests.builders.datasets import mr_series
from tests.builders.logs import logging_kept

DELIVERY = DeliveryStatus("PACS", DeliveryState.PENDING, 2, "no connection", "SR", "1.2", "2.25.1", Path("/r/1.dcm"))
STATUS = StudyStatus(
    study_instance_uid="1.2.840.99999999.1234567890.1234567890.1234567890.123456",
    state="delivering",
    outcome="partial",
    reason="1 results on their way to PACS",
    attempt=1,
    urgency=Urgency.URGENT,
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


def columns(table, width):
    """The text of each column of a table of one row, without blanks, put together over line breaks."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    lines = [line.split("│")[1:-1] for line in console.file.getvalue().splitlines() if line.startswith("│")]
    return ["".join(cells).replace(" ", "") for cells in zip(*lines, strict=True)]


def test_status_as_json_has_times_people_can_read():
    """ISO 8601 in UTC; the summary is an object; states are words."""
    [record] = json.loads(tables.status_json([STATUS]))
    assert record["received_at"] == "2027-01-15T08:00:00.000+00:00"
    assert record["finished_at"] is None
    assert record["urgency"] == "urgent"
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
    narrow = columns(tables.status_table([STATUS]), width=80)
    assert narrow[0] == STATUS.study_instance_uid
    assert narrow[1] == "2027-01-15T08:00:00.000+00:00"
    assert narrow[6:] == ["mr(0.97)", "1resultsontheirwaytoPACS", "1PACSpending"]


ODD = "in /data/[old]/[/b] :100: it is"


@pytest.mark.parametrize(
    "table",
    [
        tables.check_table([Check(ODD, Verdict.OK, ODD)]),
        tables.status_table([replace(STATUS, reason=ODD)]),
        tables.models_table(
            [InstalledVersion("torn", "", BrokenPackage(Path("torn"), ODD), active=True, shipped=True)]
        ),
    ],
    ids=["check", "status", "models"],
)
def test_a_path_in_a_table_is_shown_as_it_is(table):
    """Brackets and colons are no markup."""
    assert ODD.replace(" ", "") in columns(table, width=300)


def test_a_folder_that_was_analysed_is_a_row_a_study():
    """What was seen, found and written."""
    series = mr_series((6, 32, 24))
    summary = summarise(analysis_of(series, classified("modality", "mr"), segmented()))
    table = tables.analysis_table([AnalysedFolder(summary, (Path("a.dcm"), Path("b.dcm")))])
    uid = str(series[0].StudyInstanceUID)
    assert columns(table, width=200) == [uid, "mr(0.97)", "braintumour:nonefound", "", "2"]


def demo_study(*modalities, **changes):
    """A brain with a lesion of 12.34 ml, answered with these results."""
    phantom = PhantomStudy("brain MR", "1.2.3", (), np.ones((1, 2, 2), np.bool_), 12.34)
    results = tuple(Returned(modality, "1.2", "2.25.1", Path("r.dcm")) for modality in modalities)
    seen = summarise(analysis_of(mr_series(), classified("modality", "mr"), segmented()))
    return replace(DemoStudy(phantom, "done", "", seen, 1.04, 2.5, results, None), **changes)


def test_the_demonstration_tells_truth_beside_finding():
    """With the results and the seconds."""
    cells = columns(tables.demo_table([demo_study("SEG", "SR", "PR", "OT")]), width=200)
    assert cells == ["brainMR", "mr(0.97)", "braintumour:nonefound(true:12.3ml)", "", "SEG,SR,PR,OT", "1.0", "2.5"]


def test_the_demonstration_tells_what_did_not_come_back():
    """A study that was never analysed has its reason instead."""
    assert not demo_study("SEG", "SR").is_complete
    lost = demo_study("SR", state="failed", reason="it broke", summary=None, settled_s=None, seconds=None)
    cells = columns(tables.demo_table([lost]), width=200)
    assert cells == ["brainMR", "failed", "", "itbroke", "SRincomplete", "", ""]


def test_checks_are_shown_with_their_verdicts():
    """One row each."""
    text = printed(tables.check_table([Check("disk", Verdict.OK, "fine"), Check("port", Verdict.FAILED, "taken")]))
    assert "diskokfine" in text
    assert "portfailedtaken" in text


def test_models_as_json_have_their_whole_card(tmp_path):
    """A broken one has its reason."""
    torn = InstalledVersion("torn", "1.0", BrokenPackage(tmp_path, "it is torn"), active=True, shipped=False)
    packages = (*Library(SHIPPED_MODELS, tmp_path).versions(), torn)
    records = {record["package"]: record for record in json.loads(tables.models_json(packages))}
    assert records["cascade-resnet50"]["card"]["questions"]["mri_region"] == ["brain", "knee"]
    assert records["torn"] == {
        "package": "torn", "version": "1.0", "active": True, "state": "broken", "reason": "it is torn"
    }  # fmt: skip
    text = printed(tables.models_table(packages), width=300)
    assert "modalityaccuracy" in text
    assert "itistorn" in text


def test_the_shipped_models_are_as_good_as_the_readme_says():
    """On validation data, as their cards say, and for research only."""
    packages = installed(SHIPPED_MODELS)
    metrics = packages["cascade-resnet50"].card.metrics
    assert metrics["modality accuracy"] >= 0.97
    assert metrics["xray_region balanced accuracy"] >= 0.80
    assert metrics["mri_region accuracy"] >= 0.99
    assert metrics["knee_plane accuracy"] >= 0.95
    assert packages["brain-tumour-yolov5"].card.metrics["AP50"] >= 0.75
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
        progress.tell("port 127.0.0.1:100: ok")
    assert out.getvalue() == "first [of two]\nport 127.0.0.1:100: ok\n"
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
    with logging_kept():
        yield lambda: [line for line in capsys.readouterr().err.splitlines() if line]


@pytest.fixture
def tokyo(monkeypatch):
    """A machine whose clock on the wall is nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


def test_log_lines_are_in_utc_wherever_the_machine_is(log_lines, tokyo):
    """What two machines log can be put in order."""
    configure_logging("info")
    record = logging.LogRecord("node", logging.INFO, "x.py", 1, "It was eight in the morning", None, None)
    record.created, record.msecs = 1_800_000_000.5, 500.0
    logging.getLogger().handle(record)
    assert log_lines() == ["2027-01-15T08:00:00.500Z INFO    node [-] It was eight in the morning"]


def test_log_lines_have_time_level_place_and_action(log_lines):
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
