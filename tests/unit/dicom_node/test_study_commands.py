"""`status STUDY`, `retry`, `resend`, `rerun`, `forget`, as an administrator gives them."""

import json

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.domain.breaker import Breaker
from dicom_node.domain.errors import NodeError
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.study_folders import StudyFolders
from dicom_node.summary import summarise
from tests.builders.analyses import analysis_of, classified
from tests.builders.command import run, write_config
from tests.builders.datasets import mr_series
from tests.builders.logs import logging_kept
from tests.builders.studies import STUDY, claimed, delivering, going, receive, result

COMMANDS = ("retry", "resend", "rerun", "forget")


@pytest.fixture
def config(tmp_path):
    """A configuration file in a folder of its own."""
    path = write_config(tmp_path, 4242)[0]
    (tmp_path / "var").mkdir()
    return path


@pytest.fixture
def store(config, tmp_path):
    """The database of a running node."""
    store = Store.open(tmp_path / "var" / "node.db")
    yield store
    store.close()


def ask(*arguments):
    """What the command prints, within this process; the command must end well."""
    with logging_kept():
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def replied(*arguments):
    """What a command replies to a machine: whether anything changed."""
    reply = json.loads(ask(*arguments, "--json"))
    assert reply["study_instance_uid"] == STUDY
    assert reply["told"]
    return reply["changed"]


def answered(store, *modalities):
    """A study whose results are on their way to PACS."""
    job = claimed(store)
    summary = summarise(analysis_of(mr_series(), classified("modality", "mr"))).model_dump_json()
    results = going([result(modality) for modality in modalities], ["PACS"])
    assert store.finish(job.job_id, "w1", outcome="partial", summary=summary, results=results, now=210.0)


def test_a_study_is_shown_in_full(store, config):
    """By the beginning of its UID: jobs, deliveries with reasons, events."""
    answered(store, "SEG", "SR")
    store.dead(store.due(now=220.0)[0].delivery_id, reason="PACS takes no SEG", now=221.0)
    told = ask("status", "1.2", "--config", config)
    for part in ("delivering", "PACS takes no SEG", "claimed by", "first image", "pending", "dead"):
        assert part in told
    record = json.loads(ask("status", STUDY, "--config", config, "--json"))
    assert record["study"]["study_instance_uid"] == STUDY
    [job] = record["jobs"]
    assert (job["state"], job["finished_at"]) == ("delivering", "1970-01-01T00:03:30.000+00:00")
    assert [each["state"] for each in job["deliveries"]] == ["dead", "pending"]
    assert record["events"][0]["at"] == "1970-01-01T00:01:40.000+00:00"
    assert [each["action"] for each in record["events"]][-2:] == ["delivering", "dead"]


def test_destinations_are_shown_with_what_keeps_them_waiting(store, config):
    """With the studies, or alone; one that nothing waits for is named, too."""
    assert json.loads(ask("status", "--destinations", "--config", config, "--json")) == [
        {"peer": "PACS", "waiting": 0, "unreachable_since": None, "reason": "", "next_try_at": None, "refused": []}
    ]
    answered(store, "SR")
    store.peer_fails("PACS", Breaker(3, since=300.0, reason="no connection", next_try_at=330.0), now=320.0)
    [record] = json.loads(ask("status", "--destinations", "--config", config, "--json"))
    assert (record["waiting"], record["reason"]) == (1, "no connection")
    for arguments in (["status"], ["status", "--destinations"]):
        told = ask(*arguments, "--config", config)
        assert "no connection" in told
        assert ("delivering" in told) is (arguments == ["status"])


def test_each_command_changes_once_and_says_so(store, config):
    """Beside an open database, as a node has it; the second time there is nothing to do."""
    job = claimed(store)
    store.hold(job.job_id, "w1", reason="two patients", now=210.0)
    assert [replied("retry", "1.2", "--config", config) for _ in range(2)] == [True, False]
    store.claim("w1", now=220.0, lease_s=60.0)
    store.hold(job.job_id, "w1", reason="two patients", now=221.0)
    assert [replied("rerun", STUDY, "--config", config) for _ in range(2)] == [True, False]
    assert [each.state for each in store.history(STUDY).jobs] == ["held", "ready"]
    assert "nothing to do" in ask("retry", STUDY, "--config", config)


def test_results_are_sent_again(store, config):
    """The dead ones, then all, to one peer."""
    delivering(store, "SR")
    [delivery] = store.due(now=220.0)
    store.dead(delivery.delivery_id, reason="no", now=221.0)
    assert [replied("resend", STUDY, "--config", config) for _ in range(2)] == [True, False]
    store.sent(delivery.delivery_id, status=0, now=222.0)
    assert not replied("resend", STUDY, "--to", "PACS", "--config", config)
    assert replied("resend", STUDY, "--to", "PACS", "--all", "--config", config)


def test_forgetting_takes_the_files_too(store, config, tmp_path):
    """Nothing of the study is left below the storage folder, and the second time is no error."""
    receive(store, 1)
    Spool(tmp_path / "var").write_result(STUDY, mr_series()[0])
    assert [replied("forget", STUDY, "--config", config) for _ in range(2)] == [True, False]
    assert [path for path in (tmp_path / "var").rglob("*") if STUDY in path.name or path.suffix == ".dcm"] == []
    assert store.studies() == ()


def test_a_removal_that_was_broken_off_can_be_repeated(store, config, tmp_path):
    """Killed between the renaming of its folders and the commit: the study still stands, and goes the next time."""
    receive(store, 1)
    Spool(tmp_path / "var").write_result(STUDY, mr_series()[0])
    folders = StudyFolders(tmp_path / "var")

    def broken_off(study, conflicts):
        folders.discard(study, conflicts)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.forget(STUDY, discard=broken_off, now=200.0)
    assert [study.study_instance_uid for study in store.studies()] == [STUDY]
    assert replied("forget", STUDY, "--config", config)
    assert store.studies() == ()
    assert list((tmp_path / "var").rglob("*.dcm")) == []


@pytest.mark.parametrize("command", [*COMMANDS, "status"])
def test_an_unknown_study_is_told(store, config, command):
    """By every command, in one line."""
    with pytest.raises(NodeError, match=r"nothing was received of a study '1\.9'"):
        ask(command, "1.9", "--config", config)


def test_failures_are_told_in_a_line(config):
    """Through the real command: no database, and no such study; no traceback, and no database is made by asking."""
    for command in COMMANDS:
        told = run(command, "1.9", "--config", config)
        assert (told.returncode, told.stderr.count("\n")) == (1, 1)
        assert "no node has worked in" in told.stderr
    assert list((config.parent / "var").iterdir()) == []


def test_a_peer_nobody_knows_is_a_fault_of_the_command(store, config):
    """Exit code 2, with the names there are."""
    receive(store, 1)
    told = run("resend", STUDY, "--to", "PAX", "--config", config)
    assert (told.returncode, "known: PACS" in told.stderr) == (2, True)
