"""The section `web`: off by default, and not to be opened to everybody by mistake."""

import pytest

from dicom_node.checks import Verdict, run_checks
from dicom_node.domain.errors import SettingsError
from dicom_node.settings import load_settings
from dicom_node.web.access import KnownSender
from dicom_node.web.serving import known_senders
from tests.builders.network import free_port
from tests.builders.web import secret_file

FILE = """\
node: {{ae_title: AINODE, port: {port}}}
peers: {{PACS: {{ae_title: PACS, host: 127.0.0.1, port: {port}}}}}
receive: {{from: [PACS]}}
deliver: {{to: []}}
web: {web}
"""


@pytest.fixture
def load(tmp_path):
    """Settings with this section."""

    def load(web):
        path = tmp_path / "node.yaml"
        path.write_text(FILE.format(web=web, port=free_port()))
        return load_settings(path, {})

    return load


def test_nothing_is_served_by_default(load):
    """Not even a port is opened."""
    assert not load("{}").web.listens


def test_senders_are_known_by_their_tokens_as_they_are_now(load, tmp_path, caplog):
    """A renewed one is used at once; one that cannot be read lets nobody in, and says so."""
    settings = load("{stow: {from: {A: {token_file: a}, B: {addresses: [192.0.2.0/24]}}}}")
    secret_file(tmp_path / "a", "first")
    assert list(known_senders(settings.web.stow)) == [
        KnownSender("A", "first", None),
        KnownSender("B", None, ("192.0.2.0/24",)),
    ]
    secret_file(tmp_path / "a", "second")
    assert next(known_senders(settings.web.stow)).token == "second"
    (tmp_path / "a").chmod(0o644)
    assert [sender.name for sender in known_senders(settings.web.stow)] == ["B"]
    assert "A may not store" in caplog.text
    assert "second" not in caplog.text


@pytest.mark.parametrize(
    ("web", "fault"),
    [
        ("{stow: {from: {A: {}}}}", "web.stow.from.A: anybody could store"),
        ("{stow: {from: {}}}", "web.stow.from: expected who may store"),
        ("{stow: {}}", "web.stow.from: missing"),
        ("{stow: {from: {A: {addresses: [x]}}}}", "web.stow.from.A.addresses[0]: expected a list of IP addresses"),
        ("{host: 0.0.0.0, stow: {from: {A: {token_file: a}}}}", "web.stow.from.A.token_file: the token would come"),
        ("{ports: 1}", "web.ports: unknown key"),
    ],
)
def test_faults_are_told(load, web, fault):
    """With their key and line."""
    with pytest.raises(SettingsError) as caught:
        load(web)
    assert f"node.yaml:5: {fault}" in str(caught.value)


def test_check_looks_at_port_and_tokens(load, tmp_path):
    """A free port, and a token that only its owner may read."""
    settings = load(f"{{port: {free_port()}, stow: {{from: {{A: {{token_file: a}}}}}}}}")
    secret_file(tmp_path / "a", "first", mode=0o640)
    found = {check.subject: check for check in run_checks(settings)}
    assert found[f"port 127.0.0.1:{settings.web.port}"].verdict is Verdict.OK
    assert found["token of A"].verdict is Verdict.FAILED
    (tmp_path / "a").chmod(0o600)
    found = {check.subject: check for check in run_checks(settings)}
    assert found["token of A"].verdict is Verdict.OK
