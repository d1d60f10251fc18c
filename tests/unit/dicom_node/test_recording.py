"""What was accepted is recorded, in its order, together where that is possible, and in the end."""

import threading

import pytest

from dicom_node import recording
from dicom_node.domain.errors import OutOfResources, StoreError
from dicom_node.domain.study import InstanceKind
from dicom_node.identification import Arrival
from dicom_node.receiving import Receiver
from dicom_node.recording import Recorder
from dicom_node.spool import Spool
from tests.builders.command import eventually
from tests.builders.network import PATIENCE_S, MemoryRegister, dataset_bytes, image_series, saved

MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"


class Batches(MemoryRegister):
    """A register that knows what came together, waits to be let go on, and refuses what it is told to."""

    def __init__(self):
        super().__init__()
        self.together, self.refused = [], set()
        self.go_on = threading.Event()
        self.go_on.set()

    def record_instances(self, received):
        """As the store: all or none."""
        self.heard.set()
        assert self.go_on.wait(PATIENCE_S)
        uids = [instance.sop_instance_uid for instance, _, _ in received]
        if self.refused & set(uids):
            raise StoreError("the disk is full")
        self.together.append(uids)
        return super().record_instances(received)


class Line:
    """A recorder over a spool, and images to put."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(recording, "_TRY_AGAIN_S", 0.05)
        monkeypatch.setattr(recording, "_ENOUGH", 2)
        self.folder, self.register, self.told = folder, Batches(), []
        self.receiver = Receiver(Spool(folder, minimum_free_bytes=0), self.register, lambda *_: InstanceKind.IMAGE)
        self.recorder = Recorder(self.receiver)
        self.images = {str(each.SOPInstanceUID): saved(each, folder / "sent") for each in image_series()}
        self.uids = list(self.images)

    def put(self, *uids):
        """Accept them, one after the other."""
        for uid in uids:
            arrival = Arrival(dataset_bytes(self.images[uid]), MR, uid, EXPLICIT, "CT1")
            with self.receiver.begin(arrival) as part:
                part.write(arrival.dataset)
                accepted = self.receiver.accept(part, arrival, now=100.0)
            self.recorder.put(accepted, lambda recorded: self.told.append(recorded.instance.sop_instance_uid))

    @property
    def unfinished(self):
        """Whole objects that are not recorded."""
        return [path for path in (self.folder / "incoming").iterdir() if path.stat().st_size]


@pytest.fixture
def line(tmp_path, monkeypatch):
    """One that is stopped in the end."""
    made = Line(tmp_path, monkeypatch)
    yield made
    made.register.go_on.set()
    made.recorder.stop(PATIENCE_S)


def test_what_comes_meanwhile_is_recorded_together(line):
    """And told of one by one, in its order."""
    line.recorder.start()
    line.register.go_on.clear()
    line.put(line.uids[0])
    assert line.register.heard.wait(PATIENCE_S)
    line.put(*line.uids[1:])
    assert line.told == []
    line.register.go_on.set()
    assert line.recorder.flush()
    assert line.register.together == [line.uids[:1], line.uids[1:]]
    assert line.told == line.uids
    assert line.unfinished == []


def test_what_cannot_be_recorded_is_tried_until_it_can(line, caplog):
    """Nothing more is taken in meanwhile; nobody waits for it in vain; the log tells it once."""
    line.register.refused = set(line.uids)
    line.recorder.start()
    line.put(*line.uids[:2])
    assert not line.recorder.flush()
    with pytest.raises(OutOfResources, match="the disk is full"):
        line.recorder.check()
    assert len(line.unfinished) == 2
    assert caplog.text.count("cannot be recorded; they are tried again") == 1
    line.register.refused = set()
    assert eventually(lambda: len(line.told) == 2)
    line.recorder.check()
    assert line.unfinished == []


def test_one_that_is_refused_keeps_no_other_from_it(line):
    """Also when it is alone at first; it is tried again by itself, and what comes is taken in."""
    line.register.refused = {line.uids[1]}
    line.recorder.start()
    line.put(line.uids[1])
    assert not line.recorder.flush()
    line.recorder.check()
    line.put(line.uids[0], line.uids[2])
    assert eventually(lambda: set(line.told) == {line.uids[0], line.uids[2]})
    assert len(line.unfinished) == 1
    line.register.refused = set()
    assert eventually(lambda: len(line.told) == 3)


def test_stopping_records_what_waits(line):
    """And leaves nothing in the folder."""
    line.recorder.start()
    line.put(*line.uids)
    assert line.recorder.stop(PATIENCE_S)
    assert line.told == line.uids
    assert list((line.folder / "incoming").iterdir()) == []


def test_stopping_does_not_wait_for_what_cannot_be_recorded(line):
    """It stays where it is, for the next start."""
    line.register.refused = set(line.uids)
    line.recorder.start()
    line.put(*line.uids)
    assert not line.recorder.stop(PATIENCE_S)
    assert len(list((line.folder / "incoming").iterdir())) == 3


def test_a_listener_that_breaks_off_ends_nothing(line, caplog):
    """It is told, and the next object is recorded."""
    tell, line.told = line.told, None  # there is nothing to append to
    line.recorder.start()
    line.put(line.uids[0])
    assert line.recorder.flush()
    assert "Who waits for a recorded object broke off: AttributeError" in caplog.text
    line.told = tell
    line.put(line.uids[1])
    assert line.recorder.flush()
    assert tell == [line.uids[1]]


def test_senders_wait_when_too_much_waits(line, monkeypatch):
    """And hear of it when that takes too long."""
    monkeypatch.setattr(recording, "_MOST_WAITING", 1)
    monkeypatch.setattr(recording, "_PATIENCE_S", 0.01)
    line.register.go_on.clear()
    line.recorder.start()
    line.put(line.uids[0])
    with pytest.raises(OutOfResources, match="too many objects wait"):
        line.recorder.check()
    line.register.go_on.set()
    assert eventually(lambda: line.told == line.uids[:1])
    line.recorder.check()
