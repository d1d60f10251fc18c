"""A patient with a name that nobody else has goes through everything, and is named nowhere but in DICOM objects."""

import logging
import sqlite3
from copy import deepcopy

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, evt
from typer.testing import CliRunner

from dicom_node import app, pipeline
from dicom_node import series as reading
from dicom_node.app import Node
from dicom_node.cli import app as command_line
from dicom_node.domain.delivery import Destination
from dicom_node.engine import build_engine
from dicom_node.logs import configure_logging
from dicom_node.pipeline import analyse_study
from dicom_node.receiving import Receiver
from dicom_node.scp import accepting_entity
from dicom_node.sending import send_folder
from dicom_node.settings import load_settings
from dicom_node.spool import Spool
from dicom_node.store_line import StoreLine
from dicom_node.worker import Worker
from tests.builders.command import eventually, write_config
from tests.builders.datasets import mr_series, uid
from tests.builders.logs import logging_kept
from tests.builders.network import HOST, free_port, saved

# pynetdicom drops the socket of a refused connection without closing it; odd values are meant
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NAME, PATIENT_ID, BORN, ACCESSION = "Zwyxqu^Fimbleton", "PID-7391-XQ", "19370417", "ACC-5528-ZZ"
SECRETS = ("zwyxqu", "fimbleton", "pid-7391", "19370417", "acc-5528", "pixelmarker")
QUOTED = f"{NAME} {PATIENT_ID} {BORN} {ACCESSION} PIXELMARKER"
_SHAPE = (3, 64, 48)


def patients_series(study, **attributes):
    """Three images, and whose they are stands in every attribute that people write into."""
    pixels = np.resize(np.frombuffer(b"PIXELMARKER!", "<u2"), _SHAPE)
    about = {
        "PatientName": NAME, "PatientID": PATIENT_ID, "PatientBirthDate": BORN, "AccessionNumber": ACCESSION,
        "StudyDescription": f"MR of {NAME}", "SeriesDescription": PATIENT_ID, "PatientComments": QUOTED,
        "ImageComments": QUOTED, "BodyPartExamined": "ZWYXQU HEAD", "OtherPatientIDs": [PATIENT_ID, "X"],
    }  # fmt: skip
    return mr_series(_SHAPE, pixels=pixels, study=study, **(about | attributes))


def cut_short(series):
    """Pixels are missing."""
    series[0].PixelData = series[0].PixelData[:100]


def broken_jpeg(series):
    """No decoder takes it."""
    series[0].PixelData = encapsulate([b"PIXELMARKER" * 9 + b"!"])
    series[0]["PixelData"].is_undefined_length = True
    series[0].file_meta.TransferSyntaxUID = JPEG2000Lossless


def words_for_numbers(series):
    """The patient's name where numbers belong, in the bytes: pydicom itself would not write it."""
    for keyword, dataset in zip(("PixelSpacing", "SliceThickness", "ImagePositionPatient"), series, strict=True):
        element = dataset[keyword]
        element._value = NAME


def name_for_colours(series):
    """What the decoder refuses by its name."""
    series[0].PhotometricInterpretation = NAME.upper()[:16]


def another_patient(series):
    """In equal parts nobody can say whose study it is."""
    del series[2]
    series[1].PatientID = f"{PATIENT_ID}-2"


SPOILT = (cut_short, broken_jpeg, words_for_numbers, name_for_colours, another_patient)


@pytest.fixture
def pacs():
    """Takes nothing, and says of whom it does not take it; the port it listens on."""
    answers = iter([0xC000, 0xA700, 0xB000, 0x0122] * 1000)

    def refuse(_event):
        response = Dataset()
        response.Status, response.ErrorComment = next(answers), f"no patient {NAME} {PATIENT_ID}"[:64]
        return response

    server = accepting_entity("PACS").start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, refuse)])
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def log(tmp_path):
    """What the node writes to standard error."""
    return tmp_path / "node.log"


@pytest.fixture
def config(tmp_path, pacs):
    """Of a node without model packages, with a PACS that complains and one that is away."""
    path, _ = write_config(tmp_path, pacs, quiet_seconds=3600)
    away = f"peers:\n  AWAY: {{ae_title: AWAY, host: {HOST}, port: {free_port()}}}\n"
    text = path.read_text().replace("peers:\n", away).replace("deliver: {to: [PACS]}", "deliver: {to: [PACS, AWAY]}")
    (tmp_path / "none").mkdir()
    path.write_text(f"{text}models: {{folder: none}}\nlog: {{level: debug}}\n")
    return path


@pytest.fixture
def node(config, monkeypatch, log):
    """It runs, and has no worker; it logs everything."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    with logging_kept(), log.open("a") as stream:
        configure_logging("debug")
        [handler] = logging.getLogger().handlers
        handler.setStream(stream)
        node = Node(load_settings(config, {}))
        node.start()
        yield node
        node.stop()


@pytest.fixture
def worker(node, config, tmp_path):
    """In this process."""
    engine = build_engine(load_settings(config, {}))
    results = Spool(tmp_path / "var", minimum_free_bytes=0)
    return Worker("w1", node.store, results, lambda s, p, when, earlier: analyse_study(s, p, engine, when, earlier))


def here(node):
    """The node as a peer."""
    return Destination("node", "AINODE", HOST, int(node.address.split(":")[1]))


def send(node, folder, series):
    """As the PACS; what came of each."""
    for dataset in series:
        saved(dataset, folder)
    return [result.problem for result in send_folder(folder, here(node), "PACS")]


def analyse(node, worker, study):
    """Settled and analysed, once."""
    node.store.settle(study, reason="quiet", now=1.0)
    assert worker.take_one()


def ask(*arguments):
    """All that a command prints, within this process."""
    with logging_kept():
        return CliRunner().invoke(command_line, [str(argument) for argument in arguments]).output


def in_the_database(tmp_path):
    """All of its text."""
    with sqlite3.connect(tmp_path / "var" / "node.db") as database:
        text = "\n".join(database.iterdump())
    database.close()
    return text


def leaks(**texts):
    """Lines in which a secret stands, and where."""
    return [
        (where, line)
        for where, text in texts.items()
        for line in text.splitlines()
        if any(secret in line.lower() for secret in SECRETS)
    ]


def fail(*_arguments, **_named):
    """As libraries do: with the value that it choked on."""
    raise ValueError(QUOTED)


def test_a_study_that_is_analysed_and_refused_by_its_peers(node, worker, config, log, tmp_path, capfd):
    """Received, twice, in conflict, analysed; refused with comments, put off, sent with a fault; all that is asked."""
    series = patients_series("good")
    study = uid("good")
    assert send(node, tmp_path / "good", series) == [""] * 3
    assert send(node, tmp_path / "good", series) == [""] * 3
    other = deepcopy(series[:1])
    other[0].PatientComments = f"{QUOTED} again"
    assert send(node, tmp_path / "other", other) == [""]
    analyse(node, worker, study)
    assert eventually(lambda: node.store.history(study).study.state == "failed" or _tried(node, study))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StoreLine, "store", fail)
        asked = [
            ask("resend", study, "--all", "--config", config),
            ask("send", tmp_path / "good", "--to", "PACS", "--config", config),
        ]
        assert eventually(lambda: any("ValueError" in event.reason for event in node.store.events(study)))
    asked += [ask("send", tmp_path / "good", "--to", "PACS", "--config", config)]
    for command in (("status",), ("status", study), ("doctor", "--all"), ("rerun", study)):
        asked += [ask(*command, "--config", config), ask(*command, "--config", config, "--json")]
    asked += [ask("check", "--config", config)]
    events = [event.reason for event in node.store.events(study)]
    assert any("names the patient" in reason for reason in events)
    audit = (tmp_path / "var" / "audit.jsonl").read_text()
    printed, logged = "".join(capfd.readouterr()), log.read_text()
    found = in_the_database(tmp_path)
    asked += [ask("forget", study, "--config", config)]
    assert leaks(asked="\n".join(asked), database=found, audit=audit, printed=printed, log=logged) == []
    assert "instance_conflict" in logged
    assert study in audit


def _tried(node, study):
    return all(each.attempt > 1 or each.state != "pending" for each in node.store.history(study).jobs[-1].deliveries)


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_cannot_be_read(node, worker, config, log, tmp_path, capfd, spoil):
    """Its reason says what is wrong, and not with whom; by the node, by `analyze` and by `data describe`."""
    series = patients_series(spoil.__name__)
    spoil(series)
    study = uid(spoil.__name__)
    assert send(node, tmp_path / "bad", series) == [""] * len(series)
    analyse(node, worker, study)
    asked = [
        ask("status", study, "--config", config, "--json"),
        ask("analyze", tmp_path / "bad", "--out", tmp_path / "out", "--config", config),
        (tmp_path / "out" / "summary.json").read_text(),
        ask("data", "describe", tmp_path / "bad"),
        ask("data", "describe", tmp_path / "bad", "--json"),
    ]
    printed, logged = "".join(capfd.readouterr()), log.read_text()
    assert leaks(asked="\n".join(asked), database=in_the_database(tmp_path), printed=printed, log=logged) == []
    assert study in logged


def test_what_is_refused(node, log, tmp_path, capfd):
    """Names where UIDs belong, in the data set and in the request; bytes that are no data set; a fault of the node."""
    series = patients_series("refused")
    entity = AE(ae_title="PACS")
    entity.add_requested_context(series[0].SOPClassUID, ExplicitVRLittleEndian)
    answers = []
    with pytest.MonkeyPatch.context() as patched:
        for change in ({"StudyInstanceUID": NAME}, {"SOPInstanceUID": NAME}, {"SeriesInstanceUID": NAME}, {}):
            dataset = deepcopy(series[0])
            for keyword, value in change.items():
                dataset[keyword]._value = value
            if not change:
                patched.setattr(Receiver, "accept", fail)
            association = entity.associate(HOST, here(node).port, ae_title="AINODE")
            answers.append(association.send_c_store(dataset))
            association.release()
    assert [answer.Status for answer in answers] == [0xC000] * 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Spool, "place", fail)
        assert send(node, tmp_path / "waiting", series[1:]) == ["", ""]
    assert eventually(lambda: len(node.store.instances(uid("refused"))) == 2)
    garbage = saved(series[1], tmp_path / "garbage")
    content = garbage.read_bytes()
    meta = 144 + int.from_bytes(content[140:144], "little")
    garbage.write_bytes(content[:meta] + QUOTED.encode() * 20)
    [result] = send_folder(garbage, here(node), "PACS")
    assert "0xC000" in result.problem
    printed, logged = "".join(capfd.readouterr()), log.read_text()
    told = "\n".join(str(answer.get("ErrorComment")) for answer in answers)
    assert (
        leaks(answers=told, problem=result.problem, database=in_the_database(tmp_path), printed=printed, log=logged)
        == []
    )
    assert logged.count("store_refused") == 5
    assert "store_fault" in logged


@pytest.mark.parametrize(
    ("module", "name"), [(reading, "decode"), (reading, "split_into_stacks"), (pipeline, "results_for")]
)
def test_what_breaks_in_the_analysis(node, worker, config, log, tmp_path, *, capfd, monkeypatch, module, name):
    """The error has the patient in its message."""
    study = uid(name)
    assert send(node, tmp_path / "images", patients_series(name)) == [""] * 3
    monkeypatch.setattr(module, name, fail)
    analyse(node, worker, study)
    asked = [ask("status", study, "--config", config), ask("status", study, "--config", config, "--json")]
    printed, logged = "".join(capfd.readouterr()), log.read_text()
    assert "ValueError" in logged
    assert leaks(asked="\n".join(asked), database=in_the_database(tmp_path), printed=printed, log=logged) == []
