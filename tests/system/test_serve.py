"""`dicom-node serve` and `check` as an administrator meets them: start, stop, restart, and every wrong setting."""

import contextlib
import datetime
import signal

import pytest

from dicom_node.domain.delivery import Destination
from dicom_node.phantoms import phantom_studies
from dicom_node.sending import send_folder
from tests.builders.command import eventually, run, serving, write_config
from tests.builders.network import HOST, free_port, running_archive, saved

WHEN = datetime.datetime(2026, 11, 20, 11, 0, tzinfo=datetime.UTC)


def knee_study(folder, seed):
    """A study that is answered with one report, and its folder of files."""
    study = next(study for study in phantom_studies(seed, WHEN) if study.kind == "knee MR")
    for instance in study.instances:
        saved(instance, folder)
    return study


def test_it_says_when_it_is_ready_and_ends_well(tmp_path):
    """One line when it accepts associations; exit code 0 after SIGTERM."""
    config, port = write_config(tmp_path, free_port())
    with serving(config, port) as node:
        assert node.process.poll() is None
        assert node.studies() == {}


def test_results_wait_for_a_peer_that_is_down_and_survive_a_restart(tmp_path):
    """The PACS is away: the report waits with its reason, the node is restarted, the PACS comes back and gets it."""
    pacs_port = free_port()
    config, port = write_config(tmp_path / "node", pacs_port)
    study = knee_study(tmp_path / "sent", 301)
    uid = study.study_instance_uid
    with serving(config, port) as node:
        sent = list(send_folder(tmp_path / "sent", Destination("node", "AINODE", HOST, port), "PACS"))
        assert all(result.arrived for result in sent)
        assert eventually(lambda: any(fate["attempt"] > 1 for fate in node.study(uid).get("deliveries", [])))
        (delivery,) = node.study(uid)["deliveries"]
        assert delivery["state"] == "pending"
        assert "no connection" in delivery["reason"]
    with running_archive(tmp_path / "pacs", port=pacs_port) as (archive, _), serving(config, port) as node:
        assert eventually(lambda: node.study(uid)["state"] == "done"), node.study(uid)
        assert len(archive.instances(uid)) == 1


def test_a_node_that_was_killed_takes_its_studies_up_again(tmp_path):
    """Kill -9 after the images were acknowledged: the next start analyses and delivers them, once."""
    pacs_port = free_port()
    config, port = write_config(tmp_path / "node", pacs_port)
    study = knee_study(tmp_path / "sent", 302)
    uid = study.study_instance_uid
    with running_archive(tmp_path / "pacs", port=pacs_port) as (archive, _):
        with contextlib.suppress(AssertionError), serving(config, port) as node:  # it ends with the signal, not with 0
            sent = list(send_folder(tmp_path / "sent", Destination("node", "AINODE", HOST, port), "PACS"))
            assert all(result.arrived for result in sent)
            node.process.send_signal(signal.SIGKILL)
            node.process.wait(30)
        with serving(config, port) as node:
            assert eventually(lambda: node.study(uid)["state"] == "done"), node.study(uid)
        assert len(archive.instances(uid)) == 1


def test_two_nodes_do_not_share_a_folder(tmp_path):
    """The second is told whom it would disturb, and ends with 1."""
    config, port = write_config(tmp_path, free_port())
    with serving(config, port):
        other = tmp_path / "other.yaml"
        other.write_text(config.read_text().replace(f"port: {port}", f"port: {free_port()}"))
        told = run("serve", "--config", other)
        assert told.returncode == 1
        assert "another dicom-node works in" in told.stderr


def test_a_port_that_is_taken_is_told(tmp_path):
    """Which address, and which setting to change."""
    config, port = write_config(tmp_path / "one", free_port())
    other, _ = write_config(tmp_path / "two", free_port(), port=port)
    with serving(config, port):
        told = run("serve", "--config", other)
        assert told.returncode == 1
        assert f"AINODE@{HOST}:{port}" in told.stderr
        assert "node.port" in told.stderr


@pytest.mark.parametrize(
    ("wrong", "right", "line", "key", "told"),
    [
        ("quiet_secs: 1", "quiet_seconds: 1", 6, "settle.quiet_secs", "unknown key"),
        ("port: many", "port: 11112", 1, "node.port", "a whole number from 1 to 65535"),
        ("[RIS]", "[PACS]", 4, "receive.from[0]", "RIS"),
        ("AN_AE_TITLE_TOO_LONG", "AINODE", 1, "node.ae_title", "1 to 16"),
        ("port: 0", "port: 11112", 1, "node.port", "a whole number from 1 to 65535"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_setting_is_named_with_its_line(tmp_path, command, wrong, right, line, key, told):
    """File, line, key and what was expected, on standard error; exit code 2."""
    config, _ = write_config(tmp_path, 4242, port=11112)
    config.write_text(config.read_text().replace(right, wrong, 1))
    answer = run(command, "--config", config)
    assert answer.returncode == 2
    assert f"{config}:{line}: {key}: " in answer.stderr
    assert told in answer.stderr


def test_a_file_that_is_not_there_is_told(tmp_path):
    """Its name, and exit code 2."""
    answer = run("serve", "--config", tmp_path / "nowhere.yaml")
    assert answer.returncode == 2
    assert "nowhere.yaml" in answer.stderr


def test_check_passes_and_fails(tmp_path):
    """0 with the peer up, 1 with the peer down; the models are named with their digests either way."""
    pacs_port = free_port()
    config, _ = write_config(tmp_path / "node", pacs_port)
    content = config.read_text().replace("ae_title: PACS", "ae_title: ARCHIVE")
    config.write_text(content)
    with running_archive(tmp_path / "pacs", port=pacs_port):
        up = run("check", "--config", config)
    down = run("check", "--config", config)
    assert (up.returncode, down.returncode) == (0, 1), up.stdout + down.stdout
    assert "answered C-ECHO" in up.stdout
    assert "no connection" in down.stdout
    assert "sha256" in up.stdout


def test_send_sends(tmp_path):
    """`dicom-node send` stores a folder at a peer and says how much arrived."""
    pacs_port = free_port()
    config, _ = write_config(tmp_path / "node", pacs_port)
    config.write_text(config.read_text().replace("ae_title: PACS", "ae_title: ARCHIVE"))
    study = knee_study(tmp_path / "sent", 303)
    (tmp_path / "sent" / "notes.txt").write_text("not DICOM")
    with running_archive(tmp_path / "pacs", port=pacs_port) as (archive, _):
        told = run("send", tmp_path / "sent", "--to", "PACS", "--config", config)
        assert len(archive.instances(study.study_instance_uid)) == len(study.instances)
    assert told.returncode == 1
    assert "16 of 17 files arrived" in told.stdout
    assert "notes.txt" in told.stderr
