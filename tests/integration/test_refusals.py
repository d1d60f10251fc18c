"""Peers that refuse SOP classes: what they get in their place, by store, outbox, worker and encoders together."""

import random

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.job import JobState
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.outbox import Outbox
from dicom_node.pipeline import AnalysedStudy
from dicom_node.reader import LoadedStudy
from dicom_node.results import Signed, profiles_without, results_for
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.worker import Worker
from sr_writer.created import LABEL_MAP_SEGMENTATION_STORAGE
from sr_writer.profiles import PROFILES, Profile, SegmentationForm
from tests.builders.analyses import EQUIPMENT, analysis_of, classified, headers_of, lesion, segmented
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, free_port

LABELMAP = Profile(PROFILES["weasis"].objects, segmentation=SegmentationForm.LABELMAP)
SHAPE = (6, 32, 24)
MASK = lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7))
LABEL_MAP, SEG, SR_3D, SR, GSPS = (
    str(uid)
    for uid in (
        LABEL_MAP_SEGMENTATION_STORAGE,
        SegmentationStorage,
        Comprehensive3DSRStorage,
        ComprehensiveSRStorage,
        GrayscaleSoftcopyPresentationStateStorage,
    )
)
ALL = frozenset({LABEL_MAP, SEG, SR_3D, SR, GSPS})
NOT_SUPPORTED = 0x0122

# pynetdicom drops the socket of a refused association without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class Pacs:
    """A peer that knows some SOP classes, refuses others by status, and keeps what it takes in order of arrival."""

    def __init__(self, name, known, refused_by_status=()):
        self.kept, self._refused = [], refused_by_status
        self._entity = AE(ae_title="PACS")
        for uid in known:
            self._entity.add_supported_context(uid, ExplicitVRLittleEndian)
        self.destination = Destination(name, "PACS", HOST, free_port())
        self._entity.start_server(
            (HOST, self.destination.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._answer)]
        )

    def _answer(self, event):
        if event.request.AffectedSOPClassUID in self._refused:
            return NOT_SUPPORTED
        self.kept.append(event.dataset)
        return 0

    def stop(self):
        """Listen no more."""
        self._entity.shutdown()

    @property
    def classes(self):
        """The SOP classes of what it has, in order of arrival."""
        return [str(each.SOPClassUID) for each in self.kept]

    def dangling(self):
        """Result objects that something it has refers to, and that it has not."""
        mine = {str(each.SOPInstanceUID) for each in self.kept}
        referred = {
            str(item.ReferencedSOPInstanceUID)
            for each in self.kept
            for element in each.iterall()
            if element.VR == "SQ"
            for item in element.value
            if "ReferencedSOPInstanceUID" in item and str(item.get("ReferencedSOPClassUID")) in ALL
        }
        return referred - mine


class Line:
    """A store, a worker and an outbox that work in turns, on a clock set by hand."""

    def __init__(self, folder, *pacs, profile=LABELMAP):
        self.store, self.now, self.analyses = Store.open(folder / "node.db"), 1000.0, 0
        self._wanted = {profile: tuple(each.destination.name for each in pacs)}
        self._folder = folder
        self._outbox = Outbox(
            self.store,
            {each.destination.name: each.destination for each in pacs},
            "NODE",
            lambda: self.now,
            RetryPolicy(3600.0, random.Random(7)),
            dict.fromkeys(self._wanted[profile], profile),
        )

    def answer(self, study):
        """Receive and settle a study, then work until nothing waits; its Study Instance UID."""
        images = mr_series(SHAPE, study=study)
        uid = str(images[0].StudyInstanceUID)
        instance = Instance(f"{uid}.1", "1.2.840.10008.5.1.4.1.1.4", ExplicitVRLittleEndian, f"{uid}.2", uid,
                            InstanceKind.IMAGE, self._folder / "x.dcm", 10, "d")  # fmt: skip
        self.store.record_instance(instance, calling_ae="PACS", now=self.now)
        self.store.settle(uid, reason="quiet", now=self.now)

        def analyse(study_instance_uid, _paths, when, earlier):
            self.analyses += 1
            assert study_instance_uid == uid
            headers = headers_of(*images)
            analysis = analysis_of(images, classified("modality", "mr"), segmented(MASK))
            profiles = profiles_without(self._wanted, self.store.refused_classes(now=self.now))
            objects = results_for(analysis, Signed(headers, EQUIPMENT, when), profiles, earlier)
            return AnalysedStudy(analysis, objects, LoadedStudy((), (), headers))

        for attempt in range(20):
            self.now += 1.0
            # a worker's name is used once, as those of processes are
            worker = Worker(f"{uid} {attempt}", self.store, Spool(self._folder, minimum_free_bytes=0), analyse,
                            lambda: self.now)  # fmt: skip
            if not worker.take_one() and not self.store.due(now=self.now):
                break
            self._outbox.deliver_due()
        return uid

    def state(self, uid):
        """How a study stands."""
        return self.store.history(uid).study.state


@pytest.fixture
def pacs():
    """Starts peers, and stops them."""
    running = []

    def start(name="pacs", known=ALL, refused_by_status=()):
        running.append(Pacs(name, known, refused_by_status))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def line(tmp_path):
    """Starts lines, and closes their stores."""
    lines = []

    def start(*pacs, **profile):
        lines.append(Line(tmp_path, *pacs, **profile))
        return lines[-1]

    yield start
    for each in lines:
        each.store.close()


@pytest.mark.parametrize(
    ("refused", "classes", "by_status"),
    [
        ({LABEL_MAP}, [SEG, SR_3D, GSPS], False),
        ({SR_3D}, [LABEL_MAP, SR, GSPS], True),
        ({LABEL_MAP, SEG}, [SR_3D, GSPS], True),
        ({LABEL_MAP, SEG, SR_3D}, [SR, GSPS], False),
    ],
)
def test_each_refusal_is_met_by_something_else(pacs, line, refused, classes, by_status):
    """All arrives once and in order, nothing dangles, and the next study goes straight through."""
    peer = pacs(refused_by_status=refused) if by_status else pacs(known=ALL - refused)
    node = line(peer)
    first = node.answer("first")
    assert (peer.classes, peer.dangling()) == (classes, set())
    assert node.state(first) == JobState.DONE
    needed = node.analyses
    second = node.answer("second")
    assert (peer.classes, peer.dangling()) == (classes * 2, set())
    assert node.state(second) == JobState.DONE
    assert node.analyses == needed + 1
    assert len({str(each.SOPInstanceUID) for each in peer.kept}) == len(peer.kept)


def test_all_that_an_association_refuses_is_learnt_at_once(pacs, line):
    """Two classes, one more analysis; the log and the study say what was done."""
    peer = pacs(known=ALL - {LABEL_MAP, SR_3D})
    node = line(peer)
    uid = node.answer("first")
    assert node.analyses == 2
    assert {each.sop_class_uid for each in node.store.history(uid).substitutions} == {LABEL_MAP, SR_3D}
    assert all(each.made_at for each in node.store.history(uid).substitutions)
    [told] = [event.reason for event in node.store.events(uid) if event.action == "replaced"]
    assert told.startswith("SEG, SR, PR to pacs: ")
    assert "accepts no Label Map Segmentation Storage, in its place: Segmentation Storage, BINARY" in told
    assert "accepts no Comprehensive 3D SR Storage, in its place: Comprehensive SR Storage" in told


def test_it_is_told_once_in_the_log_for_each_class(pacs, line, caplog):
    """Not for each study."""
    node = line(pacs(known=ALL - {LABEL_MAP}))
    node.answer("first")
    node.answer("second")
    [told] = [each.getMessage() for each in caplog.records if getattr(each, "action", "") == "sop_class_refused"]
    assert "pacs refuses Label Map Segmentation Storage" in told
    assert "Segmentation Storage, BINARY" in told


def test_who_refuses_nothing_gets_what_was_asked_for_and_once(pacs, line):
    """Also when another peer of the same study makes the job go round again."""
    old, new = pacs("old", ALL - {LABEL_MAP, SR_3D}), pacs("new")
    node = line(old, new)
    uid = node.answer("first")
    assert old.classes == [SEG, SR, GSPS]
    assert new.classes == [LABEL_MAP, SR_3D, GSPS]
    assert (old.dangling(), new.dangling()) == (set(), set())
    assert node.state(uid) == JobState.DONE


def test_a_peer_that_takes_neither_form_is_told_as_such(pacs, line):
    """What has nothing in its place is dead with its reason, the rest arrives, and the study has failed visibly."""
    peer = pacs(known=ALL - {SR_3D, SR})
    node = line(peer)
    uid = node.answer("first")
    assert peer.classes == [LABEL_MAP, GSPS]
    assert node.state(uid) == JobState.FAILED
    assert "accepts no Comprehensive SR Storage" in node.store.history(uid).study.reason


def test_a_peer_that_takes_nothing_at_all_answers_all_the_same(pacs, line):
    """It is not unreachable: its objects are dead at once, none is tried for days."""
    node = line(pacs(known={"1.2.840.10008.1.1"}))
    uid = node.answer("first")
    assert node.state(uid) == JobState.FAILED
    assert node.store.due(now=1e9) == ()
    assert node.store.destinations(now=node.now)[0].unreachable_since is None


def test_after_a_day_the_peer_is_asked_once_more(pacs, line):
    """And gets the real thing if it was upgraded meanwhile."""
    peer = pacs(refused_by_status={LABEL_MAP})
    node = line(peer)
    node.answer("first")
    peer._refused = ()
    node.now += 86400.0
    node.answer("second")
    assert peer.classes == [SEG, SR_3D, GSPS, LABEL_MAP, SR_3D, GSPS]
