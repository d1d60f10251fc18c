"""Exit codes and messages of the short commands; the long ones are in tests/system."""

import json
import re
from pathlib import Path

import pytest

from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.store import Store
from tests.builders.command import run, write_config
from tests.builders.packages import write_package


@pytest.fixture
def config(tmp_path):
    """A configuration file in a folder of its own."""
    return write_config(tmp_path, 4242)[0]


def test_help_names_every_command():
    """What a new user types first."""
    told = run("--help")
    assert told.returncode == 0
    for command in (
        "serve",
        "check",
        "demo",
        "analyze",
        "status",
        "retry",
        "resend",
        "rerun",
        "forget",
        "models",
        "send",
        "train",
        "evaluate",
        "compare",
        "quantise",
        "data",
        "conformance",
        "validate",
    ):
        assert command in told.stdout


def test_status_before_the_first_start_is_told(config, tmp_path):
    """No database is made by looking."""
    told = run("status", "--config", config)
    assert told.returncode == 1
    assert f"no node has worked in {tmp_path / 'var'} yet" in told.stderr
    assert not (tmp_path / "var").exists()


def test_status_lists_what_the_store_knows(config, tmp_path):
    """As a table and as JSON, as many as asked for."""
    (tmp_path / "var").mkdir()
    store = Store.open(tmp_path / "var" / "node.db")
    for number in range(3):
        instance = Instance(f"1.2.{number}.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1", f"1.2.{number}.2",
                            f"1.2.{number}", InstanceKind.IMAGE, Path("x.dcm"), 10, "d")  # fmt: skip
        store.record_instance(instance, calling_ae="PACS", now=100.0 + number)
    store.close()
    assert "receiving" in run("status", "--config", config).stdout
    told = json.loads(run("status", "--config", config, "--json", "--limit", 2).stdout)
    assert [study["study_instance_uid"] for study in told] == ["1.2.2", "1.2.1"]


def test_models_are_listed():
    """Those that are shipped, without a configuration of one's own."""
    assert [record["state"] for record in json.loads(run("models", "--json").stdout)] == ["ok", "ok", "ok"]
    assert "cascade-resnet50" in run("models").stdout


def test_models_come_and_go_by_command(config, tmp_path):
    """Installed, shown, verified, active, back, gone."""
    source = write_package(tmp_path / "newcomer")
    for arguments, told in (
        (("install", source, "--activate"), "newcomer 1.0.0 is installed and active"),
        (("show", "newcomer", "--html", tmp_path / "card.html"), "newcomer 1.0.0"),
        (("verify", "newcomer"), "newcomer 1.0.0: whole"),
        (("rollback", "newcomer"), "newcomer none is active again"),
        (("activate", "newcomer", "1.0.0"), "is active"),
        (("rollback", "newcomer"), "none"),
        (("remove", "newcomer", "1.0.0"), "is removed"),
    ):
        done = run("models", *arguments, "--config", config)
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
    assert "means nothing" in (tmp_path / "card.html").read_text()
    again = run("models", "remove", "newcomer", "1.0.0", "--config", config)
    assert (again.returncode, again.stderr) == (1, "newcomer 1.0.0 is not installed\n")
    (source / "weights.safetensors").write_bytes(b"torn")
    torn = run("models", "install", source, "--config", config)
    assert (torn.returncode, "digest" in torn.stderr) == (1, True)


def test_installed_models_that_cannot_be_read_are_told(config, tmp_path):
    """In a line, with the folder; exit code 1."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "models").write_text("no folder")
    for arguments in ((), ("verify",), ("rollback", "cascade-resnet50")):
        told = run("models", *arguments, "--config", config)
        assert told.returncode == 1
        assert told.stderr.startswith(f"{tmp_path / 'var' / 'models'} cannot be read: ")


def test_a_broken_model_fails_the_verification(config, tmp_path):
    """It is named, and so are those that are whole."""
    source = write_package(tmp_path / "newcomer")
    assert run("models", "install", source, "--activate", "--config", config).returncode == 0
    (tmp_path / "var" / "models" / "newcomer" / "1.0.0" / "weights.safetensors").write_bytes(b"torn")
    told = run("models", "verify", "--config", config)
    assert told.returncode == 1
    assert "newcomer 1.0.0: weights.safetensors does not have the digest" in told.stdout
    assert re.search(r"cascade-resnet50 \S+: whole", told.stdout)


def test_a_model_is_shown_in_the_terminal(tmp_path):
    """Its card, as one page, too; what cannot be written is told."""
    told = run("models", "show", "cascade-resnet50").stdout
    for part in ("intended use", "inputs", "Training data", "95 % interval", "Operating point", "sha256"):
        assert part in told
    nowhere = run("models", "show", "cascade-resnet50", "--html", tmp_path / "nowhere" / "card.html")
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (1, True)
    unknown = run("models", "show", "cascade-resnet50@9")
    assert (unknown.returncode, "installed are: " in unknown.stderr) == (1, True)


def test_the_conformance_statement_is_printed_or_written(config, tmp_path):
    """The same text both ways; a place that cannot be written is told."""
    printed = run("conformance", "--config", config)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith("# DICOM Conformance Statement")
    page = tmp_path / "statement.md"
    assert run("conformance", "--config", config, "--out", page).returncode == 0
    assert page.read_text() == printed.stdout
    told = run("conformance", "--config", config, "--out", tmp_path / "nowhere" / "statement.md")
    assert (told.returncode, "cannot be written" in told.stderr) == (1, True)


def test_sending_to_nobody_is_told(config, tmp_path):
    """The peers that there are, and exit code 2."""
    told = run("send", tmp_path, "--to", "PAX", "--config", config)
    assert told.returncode == 2
    assert "known: PACS" in told.stderr


def test_sending_nothing_is_told(config, tmp_path):
    """A path that does not exist."""
    told = run("send", tmp_path / "nowhere", "--to", "PACS", "--config", config)
    assert told.returncode == 1
    assert "does not exist" in told.stderr


def test_analysing_nothing_is_told(config, tmp_path):
    """A path that does not exist."""
    told = run("analyze", tmp_path / "nowhere", "--out", tmp_path / "out", "--config", config)
    assert told.returncode == 1
    assert "does not exist" in told.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_recipe_is_told(tmp_path):
    """File and key; exit code 2."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x")
    told = run("train", recipe, "--out", tmp_path / "out")
    assert told.returncode == 2
    assert "recipe.yaml" in told.stderr
    assert "questions" in told.stderr


@pytest.mark.parametrize(
    "command",
    ["status", "retry", "resend", "rerun", "forget", "models", "send", "analyze", "check", "serve", "conformance"],
)
def test_every_command_refuses_a_wrong_configuration(config, tmp_path, command):
    """The same fault, told the same way."""
    config.write_text(config.read_text().replace("quiet_seconds: 1", "quiet_seconds: soon"))
    arguments = {"send": [tmp_path, "--to", "PACS"], "analyze": [tmp_path, "--out", tmp_path / "out"]}
    arguments |= {name: ["1.2.3"] for name in ("retry", "resend", "rerun", "forget")}
    told = run(command, *arguments.get(command, []), "--config", config)
    assert told.returncode == 2
    assert f"{config}:6: settle.quiet_seconds: expected seconds" in told.stderr
