"""`dicom-node pull` as an administrator gives it, without a running node: by C-GET, from the archive of the demo."""

import json

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.domain.study import InstanceKind
from dicom_node.sending import send_folder
from dicom_node.store import Store
from dicom_node.terminal import FAILED, WRONG_SETTINGS
from tests.builders.command import write_config
from tests.builders.datasets import mr_series
from tests.builders.logs import logging_kept
from tests.builders.network import running_archive, saved

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
NAME = "SECRET^NAME"


def patient_study(study, date, patient="A", **attributes):
    """Two images of a study of that day; their UIDs by that name."""
    return mr_series((2, 8, 8), study=study, StudyDate=date, PatientID=patient, PatientName=NAME, **attributes)


STUDIES = {
    "current": patient_study("current", "20261120"),
    "knee": patient_study("knee", "20251101", BodyPartExamined="KNEE"),
    "older": patient_study("older", "20241101", BodyPartExamined="HEAD"),
    "oldest": patient_study("oldest", "20101101", BodyPartExamined=None),
    "stranger": patient_study("stranger", "20251101", patient="B"),
}
UIDS = {name: images[0].StudyInstanceUID for name, images in STUDIES.items()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive, with all studies; its address."""
    sent = tmp_path_factory.mktemp("sent")
    for images in STUDIES.values():
        for image in images:
            saved(image, sent)
    with running_archive(tmp_path_factory.mktemp("archive")) as (_, destination):
        assert all(result.arrived for result in send_folder(sent, destination, "TESTER"))
        yield destination


@pytest.fixture
def pull(tmp_path, archive):
    """The command, within this process, on a node that has never run: exit code, and what it tells a machine."""
    config, _ = write_config(tmp_path, archive.port)
    peer = f"ae_title: {archive.ae_title}, host: {archive.host}, port: {archive.port}, retrieve: get"
    text = config.read_text(encoding="utf-8").replace("peers:\n", f"peers:\n  ARCHIVE: {{{peer}}}\n")
    config.write_text(text, encoding="utf-8")

    def pull(*arguments, peer="ARCHIVE"):
        with logging_kept():
            done = CliRunner().invoke(app, ["pull", peer, "--config", str(config), "--json", *map(str, arguments)])
        assert "SECRET" not in done.output
        return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("[") else done.output

    return pull


@pytest.fixture
def states(tmp_path):
    """How the studies of the node stand, by name."""

    def states():
        store = Store.open(tmp_path / "var" / "node.db")
        names = {uid: name for name, uid in UIDS.items()}
        try:
            found = {names[each.study_instance_uid]: each.state for each in store.studies()}
            kinds = {one.kind for uid in UIDS.values() for one in store.instances(uid)}
        finally:
            store.close()
        assert kinds <= {InstanceKind.IMAGE}
        return found

    return states


def names(told):
    """The studies of an answer, in its order."""
    by_uid = {uid: name for name, uid in UIDS.items()}
    return [by_uid[each["study_instance_uid"]] for each in told]


def test_a_study_is_pulled_and_waits_for_its_analysis(pull, states, tmp_path):
    """First as a dry run, which changes nothing; then for good; then there is nothing to do."""
    code, [looked] = pull("--study", UIDS["current"], "--dry-run")
    assert (code, looked["wanted"], looked["missing"]) == (0, 2, 2)
    assert states() == {}
    for here, arrived in ((0, 2), (2, 0)):
        code, [told] = pull("--study", UIDS["current"])
        assert (code, told["here_before"], told["arrived"], told["missing"]) == (0, here, arrived, 0)
    assert states() == {"current": "receiving"}
    assert not list((tmp_path / "var" / "incoming").iterdir())


def test_studies_of_several_days_come_one_after_the_other(pull, states):
    """From the first day to the last; of a modality that none has, none."""
    code, told = pull("--date", "2024-11-01..2025-11-01")
    assert (code, sorted(names(told))) == (0, ["knee", "older", "stranger"])
    assert set(states()) == {"knee", "older", "stranger"}
    code, told = pull("--date", "20261120", "--modality", "CT")
    assert (code, "tells of no such study" in told) == (FAILED, True)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((), ["knee", "older"]),
        (("--most", 9), ["knee", "older", "oldest"]),
        (("--most", 9, "--years", 5), ["knee", "older"]),
        (("--body-part", "HEAD"), ["older", "oldest"]),
        (("--modality", "CT"), []),
    ],
)
def test_priors_are_the_patients_latest(pull, limits, expected):
    """Within the limits, and never a stranger's; one that names no body part may show any."""
    code, told = pull("--priors-of", UIDS["current"], *limits, "--dry-run")
    assert (code, names(told)) == (0, expected)


def test_priors_are_kept_without_analysis(pull, states):
    """Their images are here, and no job is opened."""
    code, told = pull("--priors-of", UIDS["current"])
    assert (code, names(told)) == (0, ["knee", "older"])
    assert states() == {"knee": "nothing to analyse", "older": "nothing to analyse"}


def test_what_is_missing_is_told_and_ends_badly(pull):
    """A study that the peer does not hold; a C-MOVE to a node that it does not know."""
    for key in ("--study", "--priors-of"):
        code, told = pull(key, "1.2.3")
        assert (code, "tells of no such study" in told) == (FAILED, True)
    code, [told] = pull("--study", UIDS["current"], peer="PACS")
    assert (code, told["arrived"], told["missing"]) == (FAILED, 0, 2)
    assert "0xA801" in told["problem"]


@pytest.mark.parametrize(
    "wrong", [(), ("--study", "1.2", "--date", "20261120"), ("--date", "yesterday"), ("--date", "20261120..x")]
)
def test_it_must_be_clear_which_studies_are_meant(pull, wrong):
    """One key, and dates that are dates."""
    assert pull(*wrong)[0] == WRONG_SETTINGS
