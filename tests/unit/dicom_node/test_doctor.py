"""The connection doctor: what it lists, and what it finds out about a peer."""

import json

import pytest
import yaml
from pynetdicom import AE
from pynetdicom.presentation import build_context
from typer.testing import CliRunner

from dicom_node import app
from dicom_node.app import Node
from dicom_node.checks import Verdict
from dicom_node.cli import app as command
from dicom_node.doctor import examine
from dicom_node.domain.calls import Call, CallOutcome
from dicom_node.domain.errors import PeerRefused, SettingsError
from dicom_node.peers import echo
from dicom_node.settings import load_settings
from tests.builders.command import write_config
from tests.builders.logs import logging_kept
from tests.builders.network import HOST, free_port, running_archive

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def config(tmp_path):
    """Of a node whose PACS does not answer."""
    path, _ = write_config(tmp_path, free_port())
    return path


def told(config, *options, code=0):
    """What the command says, as values."""
    with logging_kept():
        result = CliRunner().invoke(command, ["doctor", "--config", str(config), "--json", *options])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_stranger_is_listed_with_the_lines_that_let_it_in(config, monkeypatch, caplog):
    """From the rejected association to the database, to the table, to a configuration that works."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    assert told(config) == []
    node = Node(load_settings(config, {}))
    node.start()
    port = load_settings(config, {}).node.port
    try:
        here = load_settings(config, {}).destination("PACS")
        with pytest.raises(PeerRefused):
            echo(here.__class__("node", "AINODE", HOST, port), "STRANGER")
        association = AE(ae_title="PACS").associate(
            HOST, port, contexts=[build_context("1.2.840.10008.5.1.4.31")], ae_title="AINODE"
        )
        association.abort()
    finally:
        node.stop()
    assert "pynetdicom.events" not in {record.name for record in caplog.records}  # where broken handlers are told of
    # rejected is noted after its caller was told, so that the next one may come before it
    context, stranger = sorted(told(config), key=lambda call: call["outcome"])
    assert (stranger["calling_ae_title"], stranger["address"], stranger["outcome"]) == ("STRANGER", HOST, "rejected")
    assert (stranger["called_ae_title"], stranger["own_ae_title"], stranger["count"]) == ("AINODE", "AINODE", 1)
    assert f"`STRANGER: {{ae_title: STRANGER, host: {HOST}, port: 104}}` under peers" in stranger["remedy"]
    assert "`receive: {from: [PACS, STRANGER]}`" in stranger["remedy"]
    assert context["refused"][0]["reason"].endswith("this node does not offer it")
    with logging_kept():
        table = CliRunner().invoke(command, ["doctor", "--config", str(config)]).stdout
    assert "STRANGER" in table
    assert "ModalityWorklistInformationFind" in table or "Modality Worklist" in table
    [outward, inward] = told(config, "--peer", "PACS", code=1)
    assert outward["verdict"] == "failed"
    assert "let in" in inward["detail"]


def found(config, *calls):
    """Both checks of the PACS."""
    return list(examine(load_settings(config, {}), "PACS", calls))


def call(outcome, calling="PACS", at=0.0, address=HOST):
    """One call from it."""
    return Call(calling, address, "AINODE", outcome, "some reason", "some remedy", first_at=at, last_at=at)


def test_both_ways_are_tested(tmp_path, config):
    """Our C-ECHO, and how its last call ended."""
    with running_archive(tmp_path / "pacs") as (_, destination):
        values = yaml.safe_load(config.read_text())
        values["peers"]["PACS"] |= {"ae_title": "ARCHIVE", "port": destination.port}
        config.write_text(yaml.safe_dump(values))
        outward, inward = found(config, call(CallOutcome.ACCEPTED, calling="ARCHIVE"))
    assert (outward.verdict, inward.verdict) == (Verdict.OK, Verdict.OK)
    assert "1970-01-01T00:00:00+00:00" in inward.detail


def test_a_peer_that_has_never_called_is_a_warning(config):
    """Others have, from elsewhere."""
    _, inward = found(config, call(CallOutcome.ACCEPTED, calling="OTHER"), call(CallOutcome.NO_TLS, "", 0, "192.0.2.9"))
    assert inward.verdict is Verdict.WARNING
    assert "nobody has called as PACS" in inward.detail


@pytest.mark.parametrize("outcome", [CallOutcome.REJECTED, CallOutcome.NO_TLS, CallOutcome.CUT_OFF])
def test_a_last_call_in_vain_fails_with_its_remedy(config, outcome):
    """One that told no AE title counts by its address."""
    calling = "" if outcome is CallOutcome.NO_TLS else "PACS"
    _, inward = found(config, call(outcome, calling, at=86400.0), call(CallOutcome.ACCEPTED))
    assert inward.verdict is Verdict.FAILED
    assert f"{outcome}, some reason; some remedy; it was let in 1970-01-01" in inward.detail


def test_an_unknown_peer_is_told(config):
    """With the names there are."""
    with pytest.raises(SettingsError, match="did you mean PACS"):
        list(examine(load_settings(config, {}), "PAC", ()))
