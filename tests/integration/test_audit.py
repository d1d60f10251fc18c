"""What the node and its commands leave in the audit trail, and what a syslog collector gets of it."""

import json
import pwd
import stat
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from dicom_node import app
from dicom_node.app import Node
from dicom_node.cli import app as command_line
from dicom_node.domain.delivery import Destination, Outgoing, ResultObject
from dicom_node.domain.errors import PeerRefused
from dicom_node.peers import echo
from dicom_node.sending import send_folder
from dicom_node.settings import load_settings
from tests.builders.audit import breaches, collecting
from tests.builders.certificates import authority
from tests.builders.command import eventually, write_config
from tests.builders.logs import logging_kept
from tests.builders.network import HOST, free_port, image_series, running_node, saved
from tests.builders.studies import ANALYSED

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SECRETS = ("Doe", "Builder", "B-0001", "19700101", "A-0001")


@pytest.fixture
def hospital(tmp_path):
    """Who signs the certificates of the node and its collector."""
    return authority(tmp_path / "hospital")


@pytest.fixture
def ports():
    """Of the PACS and of the collector; nobody listens there yet."""
    return free_port(), free_port()


@pytest.fixture
def config(tmp_path, hospital, ports):
    """Of a node with a collector, that gives results up at the second failure."""
    pacs, collector = ports
    path, _ = write_config(tmp_path, pacs, quiet_seconds=3600)
    files = hospital.sign("node")
    tls = f"{{certificate: {files.certificate}, key: {files.key}, authorities: {files.authorities}}}"
    text = path.read_text().replace("to: [PACS]", "to: [PACS], give_up_after_hours: 0.000001")
    path.write_text(f"{text}audit: {{syslog: {{host: {HOST}, port: {collector}, tls: {tls}}}}}\n")
    return path


@pytest.fixture
def node(config, monkeypatch):
    """It runs, and has no worker."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    node = Node(load_settings(config, {}))
    node.start()
    yield node
    node.stop()


def ask(*arguments):
    """Give a command, beside the node; its exit status."""
    with logging_kept():
        return CliRunner().invoke(command_line, [str(argument) for argument in arguments]).exit_code


def trail(config):
    """What the file says, as one word each: the EventID, or the EventTypeCode where there is one."""
    return [kind for kind, _ in told(config)]


def told(config):
    """The same, with the whole line."""
    found = []
    for line in (config.parent / "var" / "audit.jsonl").read_text().splitlines():
        message = json.loads(line)
        event = message["EventIdentification"]
        found.append(([event["EventID"], *event.get("EventTypeCode", [])][-1].split(", ")[2], message))
    return found


def of_kind(config, kind):
    """Messages of one kind."""
    return [message for found, message in told(config) if found == kind]


def users(message):
    """Who took part, the requestor first."""
    return [who["UserID"] for who in sorted(message["ActiveParticipant"], key=lambda who: not who["UserIsRequestor"])]


def here(node):
    """The node as a peer."""
    host, port = node.address.split("@")[1].split(":")
    return Destination("node", "AINODE", host, int(port))


def send_study(node, folder):
    """Three images of one patient, as the PACS."""
    series = image_series()
    for dataset in series:
        saved(dataset, folder)
    assert all(result.arrived for result in send_folder(folder, here(node), "PACS"))
    return str(series[0].StudyInstanceUID)


def answer(node, study, storage):
    """Have the node deliver a result of the study."""
    header = image_series("made")[0]
    made = saved(header, storage / "results" / study)
    result = ResultObject(made, "MR", str(header.SOPClassUID), made.stem, str(header.SeriesInstanceUID))
    node.store.settle(study, reason="quiet", now=1.0)
    job = node.store.claim("w1", now=1.0, lease_s=60.0)
    assert node.store.finish(job.job_id, "w1", **ANALYSED, results=[Outgoing(result, ("PACS",))], now=2.0)


def test_a_study_from_its_coming_to_its_going(node, config, ports, tmp_path):
    """Received, again, given up, sent again by a person, analysed again, forgotten: each once, of whom and by whom."""
    study = send_study(node, tmp_path / "images")
    assert eventually(lambda: "DICOM Instances Transferred" in trail(config))
    [received] = of_kind(config, "DICOM Instances Transferred")
    subject, patient = received["ParticipantObjectIdentification"]
    assert (received["EventIdentification"]["EventActionCode"], users(received)) == ("C", ["PACS", "AINODE"])
    assert (subject["ParticipantObjectID"], list(subject["SOPClass"].values())) == (study, [3])
    assert patient["ParticipantObjectID"].startswith("hmac-sha256:")
    send_study(node, tmp_path / "images")
    assert eventually(lambda: trail(config).count("DICOM Instances Transferred") == 2)
    assert told(config)[-1][1]["EventIdentification"]["EventActionCode"] == "R"

    answer(node, study, tmp_path / "var")
    assert eventually(lambda: node.store.history(study).study.state == "failed")
    assert eventually(lambda: trail(config).count("DICOM Instances Transferred") == 3)
    dead = told(config)[-1][1]
    assert dead["EventIdentification"]["EventOutcomeIndicator"] == "8"
    assert "in vain" in dead["EventIdentification"]["EventOutcomeDescription"]
    with running_node(tmp_path / "pacs", port=ports[0]):
        assert ask("resend", study, "--config", config) == 0
        assert eventually(lambda: node.store.history(study).study.state == "done")
        assert eventually(lambda: trail(config).count("DICOM Instances Transferred") == 4)
    [asked] = of_kind(config, "Begin Transferring DICOM Instances")
    person = users(asked)[0]
    assert person.split("@")[0] in {each.pw_name for each in pwd.getpwall()}
    assert set(users(asked)) == {person, "AINODE", "PACS"}
    arrived = told(config)[-1][1]
    assert (users(arrived), arrived["EventIdentification"]["EventOutcomeIndicator"]) == (["AINODE", "PACS"], "0")

    for command in ("rerun", "forget", "forget"):
        assert ask(command, study, "--config", config) == 0
    [accessed] = of_kind(config, "DICOM Instances Accessed")
    [deleted] = of_kind(config, "DICOM Study Deleted")
    assert users(accessed)[0] == users(deleted)[0] == person
    assert deleted["ParticipantObjectIdentification"][0]["SOPClass"] == {"": 3}
    assert {each["ParticipantObjectIdentification"][1]["ParticipantObjectID"]
            for each in (received, dead, asked, accessed, deleted)} == {patient["ParticipantObjectID"]}  # fmt: skip
    text = (tmp_path / "var" / "audit.jsonl").read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    assert study in text  # the trail outlives the study


def test_who_is_not_let_in_is_an_alert(node, config):
    """With who called from where; those alike in one second are one message."""
    with pytest.raises(PeerRefused):
        echo(here(node), "STRANGER")
    assert eventually(lambda: "Node Authentication" in trail(config))
    [alert] = of_kind(config, "Node Authentication")
    assert set(users(alert)) == {"AINODE", "STRANGER"}
    [subject] = alert["ParticipantObjectIdentification"]
    assert subject["ParticipantObjectID"] == HOST
    assert "'STRANGER'" in subject["ParticipantObjectDetail"]["Alert Description"]
    echo(here(node), "PACS")
    assert eventually(lambda: node.store.calls.latest()[0].outcome == "accepted")
    assert trail(config) == ["Application Start", "Node Authentication"]


def test_the_collector_gets_all_of_it_when_it_is_there(config, monkeypatch, ports, hospital, tmp_path):
    """It was away; it gets the same messages as the file, in the same order, each once, the node's end too."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    node = Node(load_settings(config, {}))
    node.start()
    study = send_study(node, tmp_path / "images")
    assert eventually(lambda: "DICOM Instances Transferred" in trail(config))
    assert eventually(lambda: node.store.audit_records.waiting() == 2)
    with collecting(hospital.sign("collector"), port=ports[1]) as collector:
        assert eventually(lambda: len(collector.heard) == 2)
        node.stop()
        assert eventually(lambda: len(collector.heard) == 3)
        assert collector.litter == b""
    texts = [record.split("\ufeff")[1] for record in collector.heard]
    assert [breaches(text) for text in texts] == [[]] * 3
    roots = [ET.fromstring(text) for text in texts]
    assert [root.find("EventIdentification").get("EventDateTime") for root in roots] == [
        message["EventIdentification"]["EventDateTime"] for _, message in told(config)
    ]
    assert [root.find("EventIdentification/EventTypeCode") is None for root in roots] == [False, True, False]
    assert roots[1].find("ParticipantObjectIdentification").get("ParticipantObjectID") == study


@pytest.mark.parametrize(("kind", "expected"), [("none", None), ("plain", "B-0001")])
def test_patients_stand_in_it_as_the_configuration_says(config, monkeypatch, tmp_path, kind, expected):
    """By nothing at all, or by their ID; never by their name."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    config.write_text(config.read_text().replace("audit: {", f"audit: {{patient_id: {kind}, file: trail/audit, "))
    node = Node(load_settings(config, {}))
    node.start()
    try:
        send_study(node, tmp_path / "images")
    finally:
        node.stop()
    path = tmp_path / "trail" / "audit"
    received = json.loads(path.read_text().splitlines()[1])
    subjects = received["ParticipantObjectIdentification"]
    assert [subject["ParticipantObjectID"] for subject in subjects[1:]] == ([] if expected is None else [expected])
    assert "Builder" not in path.read_text()
    assert not (tmp_path / "var" / "audit.key").exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_hashes_of_patients_need_the_key(node, config, tmp_path):
    """One key a storage folder, for the node's user alone, kept."""
    key = tmp_path / "var" / "audit.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert len(before) == 32
    study = send_study(node, tmp_path / "images")
    assert ask("rerun", study, "--config", config) == 0
    assert key.read_bytes() == before
