"""What an earlier run left among what comes in."""

import os
import time

import pytest

from dicom_node.domain.study import InstanceKind
from dicom_node.domain.urgency import Urgency
from dicom_node.identification import Arrival
from dicom_node.receiving import Receiver
from dicom_node.recovering import recover
from dicom_node.spool import Spool
from tests.builders.network import dataset_bytes, image_series, saved

MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
_SERIES = image_series()
UIDS = [str(dataset.SOPInstanceUID) for dataset in _SERIES]
STUDY = str(_SERIES[0].StudyInstanceUID)


@pytest.fixture
def node(tmp_path, store):
    """A receiver with its spool and its store."""
    spool = Spool(tmp_path, minimum_free_bytes=0)
    return spool, Receiver(spool, store, lambda *_: InstanceKind.IMAGE), store


def arrivals(tmp_path):
    """Three images of a study, as CT1 sends them at high priority."""
    contents = [dataset_bytes(saved(dataset, tmp_path / "sent")) for dataset in _SERIES]
    return [Arrival(content, MR, uid, EXPLICIT, "CT1", priority=1) for uid, content in zip(UIDS, contents, strict=True)]


def accepted(receiver, arrival):
    """The node dies when its sender has heard success."""
    with receiver.begin(arrival) as part:
        part.write(arrival.dataset)
        return receiver.accept(part, arrival, now=100.0)


def unfinished(tmp_path):
    """Everything in incoming/."""
    return list((tmp_path / "incoming").iterdir())


def test_what_was_accepted_is_recorded(tmp_path, node):
    """With its sender, its urgency and its time, byte for byte, once, and a second start finds nothing to do."""
    spool, receiver, store = node
    for arrival in arrivals(tmp_path):
        accepted(receiver, arrival)
    before = time.time()
    assert recover(spool, receiver, store, now=time.time()) == 3
    recorded = store.instances(STUDY)
    assert {instance.sop_instance_uid for instance in recorded} == set(UIDS)
    for arrival in arrivals(tmp_path):
        [instance] = [each for each in recorded if each.sop_instance_uid == arrival.sop_instance_uid]
        assert dataset_bytes(instance.path) == arrival.dataset
        assert instance.urgency is Urgency.URGENT
    [activity] = store.receiving()
    assert [sender.calling_ae_title for sender in activity.senders] == ["CT1"]
    assert abs(activity.last_received_at - before) < 60
    assert unfinished(tmp_path) == []
    assert recover(spool, receiver, store, now=time.time()) == 0


@pytest.mark.parametrize("has_row", [False, True])
def test_what_was_filed_or_recorded_already_is_recorded_once(tmp_path, node, has_row):
    """It died between name and row, or between row and the end; that is no second reception."""
    spool, receiver, store = node
    one = accepted(receiver, arrivals(tmp_path)[0])
    if has_row:
        receiver.record([one])
    else:
        spool.place(one.sealed, one.identity.address)
    assert recover(spool, receiver, store, now=time.time()) == (0 if has_row else 1)
    assert len(store.instances(STUDY)) == 1
    assert len(store.events(STUDY)) == 1
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("damage", ["empty", "header", "half", "one byte", "longer", "foreign"])
def test_what_was_not_whole_goes(tmp_path, node, damage):
    """Its sender never heard success."""
    spool, receiver, store = node
    path = accepted(receiver, arrivals(tmp_path)[0]).sealed.path
    content = path.read_bytes()
    at = content.index(b"DICM") + 400
    path.write_bytes(
        {
            "empty": b"",
            "header": content[:150],
            "half": content[: len(content) // 2],
            "one byte": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
            "longer": content + b"\0",
            "foreign": os.urandom(500),
        }[damage]
    )
    assert recover(spool, receiver, store, now=time.time()) == 0
    assert store.instances(STUDY) == ()
    assert unfinished(tmp_path) == []


def test_what_cannot_be_recorded_stays(tmp_path, node, caplog):
    """One of them keeps no other from it, and the log names it."""
    spool, receiver, store = node
    paths = [accepted(receiver, arrival).sealed.path for arrival in arrivals(tmp_path)]
    # where its folder should be there is a file
    (tmp_path / "spool" / STUDY).write_bytes(b"")
    assert recover(spool, receiver, store, now=time.time()) == 0
    assert sorted(unfinished(tmp_path)) == sorted(paths)
    assert all(path.name in caplog.text for path in paths)
    (tmp_path / "spool" / STUDY).unlink()
    assert recover(spool, receiver, store, now=time.time()) == 3


def test_other_content_under_a_known_uid_is_a_conflict(tmp_path, node):
    """As it would have been at its time."""
    spool, receiver, store = node
    first = arrivals(tmp_path)[0]
    receiver.receive(first, now=100.0)
    changed = first.dataset[:-2] + b"\1\1"
    accepted(receiver, Arrival(changed, MR, UIDS[0], EXPLICIT, "CT1"))
    assert recover(spool, receiver, store, now=time.time()) == 1
    [aside] = (tmp_path / "conflicts" / STUDY).iterdir()
    assert dataset_bytes(aside) == changed
    assert unfinished(tmp_path) == []
