"""From a received study to de-identified copies at a peer, with the real store, spool, worker and outbox."""

import hashlib
import random

from pydicom import dcmread

from dicom_node.domain.delivery import RetryPolicy
from dicom_node.domain.job import JobState
from dicom_node.domain.research import CopyWish, ResearchOption, SpareTime
from dicom_node.outbox import Outbox
from dicom_node.pipeline import AnalysedStudy
from dicom_node.reader import LoadedStudy
from dicom_node.research.admission import CopyRules
from dicom_node.research.copying import Copier, to_peer
from dicom_node.research.deidentify import Deidentification
from dicom_node.research.pseudonyms import Pseudonyms
from dicom_node.results import Addressed
from dicom_node.sending import send_folder
from dicom_node.spool import Spool
from dicom_node.study_folders import StudyFolders
from dicom_node.worker import Worker
from sr_writer.profiles import PROFILES
from tests.builders.analyses import EQUIPMENT, analysis_of, encode, headers_of, lesion, segmented
from tests.builders.identified import NAMES, NUMBERS, PLACES, identified_mr
from tests.builders.network import dataset_bytes, running_archive, running_node, saved
from tests.builders.validators import dciodvfy_errors

NOW = 1000.0
HOW = Deidentification(
    Pseudonyms(hashlib.sha256(b"a key for tests").digest()), frozenset({ResearchOption.MODIFIED_DATES}), "node 1"
)


def images():
    """Two slices of one patient, and a capture with the name in the picture."""
    first, second, capture = (identified_mr(SOPInstanceUID=f"1.2.3.4.{number}") for number in (1, 2, 3))
    second.ImagePositionPatient = ["-10", "-20", "-27"]
    capture.BurnedInAnnotation = "YES"
    for image in (first, second, capture):
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return first, second, capture


def analysed(sources, when):
    """A lesion on two slices: a segmentation, a report, a presentation state."""
    mask = lesion((2, 8, 8), start=(0, 2, 2), size=(2, 4, 4))
    headers = headers_of(*sources[:2])
    made = encode(analysis_of(sources[:2], segmented(mask)), headers, EQUIPMENT, when, PROFILES["standard"])
    return AnalysedStudy(
        analysis_of(sources[:2], segmented(mask)),
        tuple(Addressed(each, ("PACS",)) for each in made),
        LoadedStudy((), (), headers),
    )


def received(store, folder, sources):
    """The study as it came by C-STORE, settled; the paths of what was sent."""
    with running_node(folder, register=store) as node:
        sent = [saved(image, folder / "sent") for image in sources]
        assert [each.problem for each in send_folder(folder / "sent", node.destination, "PACS")] == [""] * len(sent)
    store.settle(str(sources[0].StudyInstanceUID), reason="quiet", now=NOW)
    return sent


def test_copies_leave_after_the_results_and_say_of_nobody_who_he_is(store, tmp_path):
    """One patient under one pseudonym; the segmentation fits the images; in the end all of it is forgotten."""
    sources, folder = images(), tmp_path / "var"
    study = str(sources[0].StudyInstanceUID)
    received(store, folder, sources)
    spool = Spool(folder, minimum_free_bytes=0)
    copier = Copier(store, to_peer(spool, "RESEARCH"), CopyRules(), HOW, 3600.0, lambda: NOW)
    worker = Worker(
        "w1", store, spool, lambda _study, _paths, when, _earlier: analysed(sources, when), lambda: NOW,
        SpareTime(CopyWish(images=True, results=True), copier.copy_one),
    )  # fmt: skip
    with (
        running_archive(tmp_path / "pacs", name="PACS") as (pacs, to_pacs),
        running_archive(tmp_path / "lab", name="RESEARCH") as (_, to_lab),
    ):
        outbox = Outbox(
            store, {"PACS": to_pacs, "RESEARCH": to_lab}, "AINODE", lambda: NOW, RetryPolicy(3600.0, random.Random(1))
        )
        assert worker.take_one()
        outbox.deliver_due()
        assert store.history(study).study.state == JobState.DONE
        results = len(pacs.instances(study))
        assert results >= 3
        assert not list((tmp_path / "lab").rglob("*.dcm"))
        while worker.take_one():
            pass
        outbox.deliver_due()
    copies = sorted((tmp_path / "lab").rglob("*.dcm"))
    status = store.history(study)
    assert status.study.state == JobState.DONE
    assert {each.peer for each in status.study.deliveries} == {"PACS"}
    assert (status.research.copies, status.research.deliveries) == ({"made": 3, "left out": results}, {"sent": 3})
    assert_de_identified(copies, sources)
    StudyFolders(folder).sweep()
    assert list((folder / "research" / study).iterdir())
    store.forget(study, discard=StudyFolders(folder).discard, now=NOW)
    assert not (folder / "research" / study).exists()


def assert_de_identified(copies, sources):
    """Nothing of the patient is in any byte of them, and they belong together."""
    for path in copies:
        content = path.read_bytes()
        secrets = (*NAMES, *NUMBERS, *PLACES, *(str(image.SOPInstanceUID) for image in sources))
        assert [text for text in secrets if text.encode() in content] == []
        assert str(sources[0].StudyInstanceUID) not in str(path)
        assert dciodvfy_errors(path) == []
    read = [dcmread(path) for path in copies]
    assert len({str(copy.PatientID) for copy in read}) == len({str(copy.StudyInstanceUID) for copy in read}) == 1
    [segmentation] = [copy for copy in read if copy.Modality == "SEG"]
    slices = {str(copy.SOPInstanceUID): copy for copy in read if copy.Modality == "MR"}
    assert {copy.PixelData for copy in slices.values()} == {image.PixelData for image in sources[:2]}
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for item in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced == slices.keys()
    assert all(dataset_bytes(path) for path in copies)
