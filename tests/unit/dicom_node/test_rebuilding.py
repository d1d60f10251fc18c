"""A database that is damaged is told at the start, and made anew from the files in the spool."""

import hashlib
import sqlite3

import pytest

from dicom_node.app import Node, classify
from dicom_node.domain.errors import DamagedDatabase
from dicom_node.domain.job import JobState
from dicom_node.identification import Arrival
from dicom_node.rebuilding import record_spool
from dicom_node.receiving import Receiver
from dicom_node.settings import load_settings
from dicom_node.spool import Spool
from dicom_node.store import Store
from tests.builders.command import run, write_config
from tests.builders.network import dataset_bytes, image_series, saved


def kept(storage, source, study="study"):
    """Three images as the node keeps them, recorded in its database, which stays open."""
    storage.mkdir(parents=True, exist_ok=True)
    store = Store.open(storage / "node.db")
    receiver = Receiver(Spool(storage, minimum_free_bytes=0), store, classify)
    for image in image_series(study):
        path = saved(image, source)
        meta = image.file_meta
        arrival = Arrival(dataset_bytes(path), meta.MediaStorageSOPClassUID, path.stem, meta.TransferSyntaxUID, "PACS")
        receiver.receive(arrival, now=100.0)
    return store, store.instances(str(image.StudyInstanceUID))


def rows_of(store, rows):
    """What the database knows of the study of these."""
    return set(store.instances(rows[0].study_instance_uid))


def garbage(content):
    """No database at all."""
    return hashlib.sha512(content).digest() * 64


def truncated(content):
    """Its second half is gone."""
    return content[: len(content) // 2]


def flipped(content):
    """One page is nonsense."""
    return content[:8192] + bytes(255 - byte for byte in content[8192:12288]) + content[12288:]


@pytest.mark.parametrize("damage", [garbage, truncated, flipped])
def test_a_damaged_database_is_refused_at_the_start_and_rebuilt(tmp_path, damage):
    """The line names the command; after it every image is known again, and the damaged file lies beside."""
    config, _ = write_config(tmp_path, 4242)
    storage = tmp_path / "var"
    store, rows = kept(storage, tmp_path / "sent")
    store.close()
    database = storage / "node.db"
    database.write_bytes(damage(database.read_bytes()))
    with pytest.raises(DamagedDatabase, match="dicom-node rebuild"):
        Node(load_settings(config, {}))
    told = run("rebuild", "--config", config)
    assert told.returncode == 0, told.stderr
    assert "3 instances recorded" in told.stdout
    assert [path.name for path in storage.glob("damaged-*-node.db")] != []
    store = Store.open(database)
    assert rows_of(store, rows) == set(rows)
    assert store.studies()[0].state == JobState.RECEIVING
    store.close()


def test_what_is_recorded_already_is_left_alone(tmp_path):
    """A second rebuild changes nothing; what a killed process left unrecorded comes in; a damaged file stays out."""
    store, rows = kept(tmp_path, tmp_path / "sent")
    spool = Spool(tmp_path, minimum_free_bytes=0)
    for uid in (rows[0].sop_instance_uid, rows[1].sop_instance_uid):
        with sqlite3.connect(tmp_path / "node.db") as database:
            database.execute("DELETE FROM instance WHERE sop_instance_uid = ?", (uid,))
        database.close()
    rows[1].path.write_bytes(b"no DICOM")
    first = record_spool(spool.received(), store, classify, lambda _line: None)
    second = record_spool(spool.received(), store, classify, lambda _line: None)
    assert (first.recorded, first.known, first.unreadable) == (1, 1, (rows[1].path,))
    assert (second.recorded, second.known) == (0, 2)
    store.close()


def test_a_lost_database_over_images_is_told(tmp_path, caplog):
    """The node starts, and names the command."""
    config, _ = write_config(tmp_path, 4242)
    store, _ = kept(tmp_path / "var", tmp_path / "sent")
    store.close()
    (tmp_path / "var" / "node.db").unlink()
    Node(load_settings(config, {})).stop()
    assert "dicom-node rebuild" in caplog.text


def test_what_went_with_the_write_ahead_log_is_recorded_again(tmp_path):
    """Somebody kept the database alone, or removed the other two: it is sound, and knows less than the spool."""
    first, known = kept(tmp_path, tmp_path / "sent")
    first.close()
    running, lost = kept(tmp_path, tmp_path / "sent", study="later")
    alone = tmp_path / "alone.db"
    alone.write_bytes((tmp_path / "node.db").read_bytes())
    running.close()
    store = Store.open(alone)
    store.check()
    assert (rows_of(store, known), rows_of(store, lost)) == (set(known), set())
    record_spool(Spool(tmp_path, minimum_free_bytes=0).received(), store, classify, lambda _line: None)
    assert (rows_of(store, known), rows_of(store, lost)) == (set(known), set(lost))
    store.close()
