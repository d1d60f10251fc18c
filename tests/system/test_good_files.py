"""The decodable files of the shared corpus: all arrive, stay bit for bit, are analysed or refused with a reason, and
are copied for research or left out with a reason."""

import hashlib
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AllStoragePresentationContexts

from dicom_node.domain.delivery import Destination
from dicom_node.domain.job import JobState
from dicom_node.domain.research import CopyState
from dicom_node.domain.status import NOTHING_TO_ANALYSE, StudyHistory
from dicom_node.research.keys import make_key
from dicom_node.sending import FileResult, send_folder
from dicom_node.store import Store
from tests.builders.command import eventually, serving, write_config
from tests.builders.corpus import Sendable, good_files, sendable
from tests.builders.network import HOST, dataset_bytes, free_port

# files of the wild have values that pydicom warns of
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
#: Cannot Understand, or Data Set does not match SOP Class, and what is wrong.
_REFUSAL = re.compile(r"0xC000 \(.*UID is |0xA900 \(.*UID differs|accepts no ")
_ENDS = (JobState.DONE, JobState.HELD, NOTHING_TO_ANALYSE)


@dataclass(frozen=True)
class Corpus:
    """What was sent to a node, what it answered, and where all of it has come to."""

    sent: dict[Path, Sendable]
    answers: list[FileResult]
    storage: Path
    copies: Path
    #: By Study Instance UID.
    studies: dict[str, StudyHistory]
    log: str


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One node without models and with research copies gets everything, and comes to an end with it."""
    folder = tmp_path_factory.mktemp("corpus")
    files = folder / "sent"
    for each in (files, folder / "copies", folder / "node", folder / "node" / "none"):
        each.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = {each.path: each for each in (sendable(path, files) for path in good_files())}
    make_key(folder / "node" / "research.key")
    config, port = write_config(folder / "node", free_port())
    text = config.read_text().replace("deliver: {to: [PACS]}", "deliver: {to: []}")
    wanted = "{to: ../copies, key_file: research.key, options: [modified-dates, device-identity], annotated: copy}"
    config.write_text(f"{text}models: {{folder: ./none}}\nresearch: {wanted}\n")
    with serving(config, port) as node:
        answers = answered(files, Destination("node", "AINODE", HOST, port))
        store = Store.open(folder / "node" / "var" / "node.db")
        try:
            assert eventually(lambda: is_at_rest(store), 300.0)
            studies = {each.study_instance_uid: store.history(each.study_instance_uid) for each in store.studies()}
        finally:
            store.close()
        return Corpus(sent, answers, folder / "node" / "var", folder / "copies", studies, node.log.read_text())


def answered(files, destination):
    """The node's answer to each; what a lost association left without one is sent once more, as a PACS does."""
    answers = list(send_folder(files, destination, "PACS"))
    lost = [each for each in answers if not each.arrived and not _REFUSAL.search(each.problem)]
    return [each for each in answers if each not in lost] + [
        again for each in lost for again in send_folder(each.path, destination, "PACS")
    ]


def is_at_rest(store):
    """Nothing is to be analysed or copied any more."""
    studies = store.studies()
    copies = [store.history(each.study_instance_uid).research for each in studies]
    return all(each.state in _ENDS for each in studies) and not any(each and "wanted" in each.copies for each in copies)


def digests(contents):
    """Which contents there are."""
    return {hashlib.sha256(content).hexdigest() for content in contents}


def test_every_file_is_answered(corpus):
    """With success; or with a status and its reason where it lacks a UID to be filed under; or it is not even offered,
    since its SOP class is retired and no presentation context of it is accepted."""
    accepted = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    retired = {path for path, each in corpus.sent.items() if each.sop_class_uid not in accepted}
    assert len(corpus.answers) == len(corpus.sent) > 100
    refused = {each.path for each in corpus.answers if not each.arrived}
    assert refused == retired | {path for path, each in corpus.sent.items() if each.missing}
    assert len(refused) <= 0.1 * len(corpus.sent)
    assert all(_REFUSAL.search(each.problem) for each in corpus.answers if not each.arrived)
    assert {each.status for each in corpus.answers if each.arrived} == {0}


def test_every_data_set_is_stored_bit_for_bit(corpus):
    """Neither more nor less than what was answered with success; another object under a known UID is set aside."""
    arrived = [corpus.sent[each.path].dataset for each in corpus.answers if each.arrived]
    stored = [path for name in ("spool", "conflicts") for path in (corpus.storage / name).rglob("*.dcm")]
    assert digests(map(dataset_bytes, stored)) == digests(arrived)
    assert len(stored) == len(digests(arrived))


def test_every_study_ends_with_an_explanation(corpus):
    """Each image is in a stack that every stage was asked about, left out with its reason, or held with its study."""
    unexplained = []
    for uid, history in corpus.studies.items():
        study = history.study
        assert study.reason
        if study.state != JobState.DONE:
            continue
        summary = json.loads(study.summary)
        slices = sum(volume["slices"] for volume in summary["volumes"])
        assert all(stage["reason"] for volume in summary["volumes"] for stage in volume["stages"])
        excluded = {each["sop_instance_uid"] for each in summary["exclusions"]}
        assert all(each["reason"] for each in summary["exclusions"])
        if slices + len(excluded) < study.image_count:
            unexplained.append(uid)
    assert unexplained == []
    assert Counter(history.study.state for history in corpus.studies.values())[JobState.DONE] >= 25
    assert "job_broke" not in corpus.log
    assert "worker_died" not in corpus.log


def test_every_image_is_copied_or_left_out_with_a_reason(corpus):
    """No copy breaks the worker, none is of a patient that can be read, and every pixel is as it was."""
    told = Counter()
    for history in corpus.studies.values():
        if history.research is not None:
            told.update(history.research.copies)
            assert sum(history.research.reasons.values()) == sum(
                number for state, number in history.research.copies.items() if state != CopyState.MADE
            )
    copies = [path for path in corpus.copies.rglob("*") if path.is_file()]
    assert told[CopyState.MADE] == len(copies) > 60
    assert "copy_broke" not in corpus.log
    originals = {dcmread(path).PixelData for path in (corpus.storage / "spool").rglob("*.dcm") if has_pixels(path)}
    for path in copies:
        copy = dcmread(path)
        assert str(copy.PatientName) == copy.PatientID
        assert copy.PatientIdentityRemoved == "YES"
        assert not has_pixels(path) or {copy.PixelData, copy.PixelData.removesuffix(b"\0")} & originals


def has_pixels(path):
    """Float pixels aside."""
    return "PixelData" in dcmread(path)
