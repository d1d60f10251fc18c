"""One copy at a time, whatever comes of it, and where it goes; nothing leaves that was not checked."""

import hashlib
import logging
import stat

import pytest
from pydicom import dcmread

from dicom_node.domain.errors import SettingsError, StoreError
from dicom_node.domain.research import CopyState, CopyWish, Original, ResearchOption
from dicom_node.durable_files import write_durably
from dicom_node.research import copying
from dicom_node.research.admission import CopyRules
from dicom_node.research.copying import Copier, LeftOut, copy_of, to_folder, to_peer
from dicom_node.research.deidentify import Deidentification
from dicom_node.research.keys import make_key
from dicom_node.research.pseudonyms import Pseudonyms
from dicom_node.research.setup import check_research, spare_time
from dicom_node.settings import load_settings
from dicom_node.spool import Spool
from tests.builders.command import write_config
from tests.builders.identified import NAMES, content_of, identified_mr

KEY = hashlib.sha256(b"a key for tests").digest()
HOW = Deidentification(Pseudonyms(KEY), frozenset(ResearchOption), "node 1")


class Wishes:
    """What is wanted, in memory, and what was recorded."""

    def __init__(self, *originals):
        self.waiting = list(originals)
        self.made, self.ended, self.postponed = [], [], []
        self.forgotten = False

    def next_original(self, *, now):
        """The first."""
        return self.waiting[0] if self.waiting else None

    def copy_made(self, original, copy, *, now):
        """Made."""
        self.waiting.remove(original)
        self.made.append(copy)
        return not self.forgotten

    def copy_ended(self, original, state, *, reason, now):
        """Not made."""
        self.waiting.remove(original)
        self.ended.append((state, reason))

    def copy_postponed(self, original, *, reason, now):
        """To be made later."""
        since = original.failing_since or now
        self.waiting[0] = Original(*([*map(original.__getattribute__, original.__slots__)][:-1]), since)
        self.postponed.append(reason)


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def __call__(self):
        """Seconds since the epoch."""
        return self.now


def original_of(folder, name="1", **attributes):
    """An object on disk of which a copy is wanted."""
    path = folder / f"{name}.dcm"
    path.write_bytes(content_of(identified_mr(**attributes)))
    return Original(1, "1.2.3", name, path, 1, None)


def copier(wishes, handover, clock=None, rules=None):
    """With an hour's patience."""
    return Copier(wishes, handover, rules or CopyRules(), HOW, 3600.0, clock or Clock())


def test_a_copy_for_a_peer_waits_beside_the_results(tmp_path):
    """Its file is named by its own UID, in the folder that goes with its study."""
    wishes = Wishes(original_of(tmp_path))
    spool = Spool(tmp_path / "var", minimum_free_bytes=0)
    worker = copier(wishes, to_peer(spool, "RESEARCH"))
    assert worker.copy_one()
    assert not worker.copy_one()
    [made] = wishes.made
    assert made.peers == ("RESEARCH",)
    result = made.result
    assert result.path == tmp_path / "var" / "research" / "1.2.3" / f"{result.sop_instance_uid}.dcm"
    assert dcmread(result.path).PatientIdentityRemoved == "YES"
    assert not [name for name in NAMES if name.encode() in result.path.read_bytes()]
    assert result.modality == "MR"


def test_a_copy_for_a_folder_has_pseudonyms_for_a_path(tmp_path):
    """For the owner alone; nothing of the original is in the names."""
    root = tmp_path / "research"
    root.mkdir()
    wishes = Wishes(original_of(tmp_path))
    assert copier(wishes, to_folder(root, write_durably)).copy_one()
    assert wishes.made == [None]
    [path] = [each for each in root.rglob("*") if each.is_file()]
    copy = dcmread(path)
    assert path.relative_to(root).parts[:3] == (copy.PatientID, copy.StudyInstanceUID, copy.SeriesInstanceUID)
    assert identified_mr().StudyInstanceUID not in str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_forgotten_meanwhile_leaves_no_file(tmp_path):
    """The copy goes with its study."""
    wishes = Wishes(original_of(tmp_path))
    wishes.forgotten = True
    spool = Spool(tmp_path / "var", minimum_free_bytes=0)
    assert copier(wishes, to_peer(spool, "RESEARCH")).copy_one()
    assert list((tmp_path / "var").rglob("*.dcm")) == []


def test_what_is_left_out_does_not_stop_the_next(tmp_path, caplog):
    """A picture with text, what is no DICOM, what is gone: each ends with its reason; no value is in the log."""
    (tmp_path / "bad.dcm").write_bytes(b"Muster^Erika")
    bad = Original(1, "1.2.3", "2", tmp_path / "bad.dcm", 1, None)
    gone = Original(1, "1.2.3", "3", tmp_path / "gone.dcm", 1, None)
    wishes = Wishes(original_of(tmp_path, BurnedInAnnotation="YES"), bad, gone, original_of(tmp_path, "4"))
    worker = copier(wishes, to_peer(Spool(tmp_path / "var", minimum_free_bytes=0), "RESEARCH"))
    with caplog.at_level(logging.DEBUG):
        while worker.copy_one():
            pass
    assert [state for state, _ in wishes.ended] == [CopyState.LEFT_OUT, CopyState.FAILED, CopyState.FAILED]
    assert "burned-in" in wishes.ended[0][1]
    assert len(wishes.made) == 1
    assert not [name for name in NAMES if name in caplog.text]


def test_what_the_check_finds_does_not_leave(tmp_path, monkeypatch):
    """Whatever the profile does: here it does nothing but mark the object as de-identified."""
    monkeypatch.setattr(copying, "deidentify", lambda dataset, how: setattr(dataset, "PatientIdentityRemoved", "YES"))
    with pytest.raises(LeftOut, match=r"AccessionNumber.*PatientID.*PatientName") as left_out:
        copy_of(original_of(tmp_path).path, CopyRules(), HOW)
    assert "Muster" not in str(left_out.value)


def test_a_disk_that_refuses_is_asked_again_later(tmp_path):
    """What hinders one hinders all: nothing else is tried meanwhile, and there is an end to it."""
    clock, root = Clock(), tmp_path / "not mounted"
    wishes = Wishes(original_of(tmp_path), original_of(tmp_path, "2"))
    worker = copier(wishes, to_folder(root, write_durably), clock)
    assert worker.copy_one()
    assert not worker.copy_one()
    assert not root.exists()
    clock.now += 3.0
    assert worker.copy_one()
    assert wishes.postponed == ["the folder of research.to does not exist"] * 2
    clock.now += 3600.0
    assert worker.copy_one()
    assert wishes.ended == [(CopyState.FAILED, "in vain for 1 hours: the folder of research.to does not exist")]
    root.mkdir()
    clock.now += 600.0
    assert worker.copy_one()
    assert wishes.made == [None]


def test_a_full_disk_is_no_reason_to_give_up(tmp_path):
    """The spool refuses, as it does with results."""

    class Full:
        def write_copy(self, *_):
            """Nothing fits."""
            raise StoreError("full")

    wishes = Wishes(original_of(tmp_path))
    assert copier(wishes, to_peer(Full(), "RESEARCH")).copy_one()
    assert (wishes.postponed, len(wishes.waiting)) == (["full"], 1)


def configured(tmp_path, text):
    """The settings of a file with a section `research`."""
    config, _ = write_config(tmp_path, 4242)
    config.write_text(f"{config.read_text()}research: {text}\n")
    return load_settings(config, {})


def test_copies_are_off_unless_asked_for(tmp_path):
    """No section, no copies."""
    config, _ = write_config(tmp_path, 4242)
    settings = load_settings(config, {})
    assert settings.research is None
    assert spare_time(settings, Wishes(), Spool(tmp_path / "var"), Clock()) is None
    check_research(settings)


def test_the_settings_say_where_to_and_of_what(tmp_path):
    """A name is a peer's, a path starts at the file; dates are moved unless something else is asked for."""
    settings = configured(tmp_path, "{to: PACS, key_file: r.key}")
    assert (settings.research.destination, settings.outgoing_peers) == ("PACS", ("PACS",))
    assert settings.research.options == {ResearchOption.MODIFIED_DATES}
    assert settings.research.wish == CopyWish(images=True, results=False)
    settings = configured(tmp_path, "{to: ./copies, key_file: r.key, options: [], results: true, modalities: [CT]}")
    assert settings.research.destination == tmp_path / "copies"
    assert (settings.research.options, settings.research.key_file) == (frozenset(), tmp_path / "r.key")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{to: PACK, key_file: r.key}", "research.to.*did you mean PACS"),
        ("{to: PACS}", "key_file: missing"),
        ("{to: PACS, key_file: r.key, options: [dates]}", "modified-dates"),
        ("{to: PACS, key_file: r.key, annotated: true}", "leave out or copy"),
    ],
)
def test_wrong_settings_are_refused_with_the_remedy(tmp_path, text, told):
    """As those of every other section."""
    with pytest.raises(SettingsError, match=told):
        configured(tmp_path, text)


def test_a_bad_key_stops_the_start_and_no_running_worker(tmp_path, caplog):
    """The node refuses to start; a worker that finds the key gone goes on without copies, and says so."""
    settings = configured(tmp_path, "{to: PACS, key_file: r.key}")
    with pytest.raises(SettingsError, match="research-key"):
        check_research(settings)
    wishes = Wishes(original_of(tmp_path))
    spool = Spool(tmp_path / "var", minimum_free_bytes=0)
    assert not spare_time(settings, wishes, spool, Clock()).copy_one()
    assert "Research copies wait" in caplog.text
    make_key(tmp_path / "r.key")
    check_research(settings)
    assert spare_time(settings, wishes, spool, Clock()).copy_one()
    assert len(wishes.made) == 1
