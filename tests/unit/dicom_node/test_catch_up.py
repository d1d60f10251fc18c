"""The daily catch-up: whom it asks for what, what it leaves alone, and that one silent peer does not stop it."""

import datetime
import logging
from contextlib import contextmanager

import pytest

from dicom_node.catch_up import CatchUp, Window
from dicom_node.domain.errors import PeerUnreachable
from dicom_node.domain.retrieval import Pulled
from dicom_node.domain.study import StudyActivity
from tests.integration.test_archive import query as identifier

NOW = datetime.datetime(2026, 11, 20, 2, 30).astimezone().timestamp()
WINDOW = Window(days=2, modalities=(), most_studies=10)


class Peer:
    """A puller of a peer that holds studies, each missing here unless it is in `here`."""

    def __init__(self, *studies, here=()):
        self.studies, self.here = studies, set(here)
        self.asked, self.pulled, self.stopped = [], [], False

    @contextmanager
    def query(self):
        """Itself."""
        yield self

    def find(self, asked):
        """All of its studies."""
        self.asked.append(asked)
        return tuple(identifier("STUDY", StudyInstanceUID=uid) for uid in self.studies)

    def pull(self, study, modalities, progress):
        """One image of each, the second time none."""
        uid = study.study_instance_uid
        self.pulled.append((uid, modalities))
        here = uid in self.here
        self.here.add(uid)
        return Pulled(study, wanted=1, here=int(here), arrived=int(not here))

    def stop(self):
        """Note it."""
        self.stopped = True


class Silent(Peer):
    """One that cannot be asked."""

    @contextmanager
    def query(self):
        """Nobody is there."""
        raise PeerUnreachable("no connection")
        yield


class Studies:
    """What is arriving, and what was removed."""

    def __init__(self, arriving=(), removed=()):
        self.arriving, self.removed = arriving, removed

    def receiving(self):
        """Of one image each."""
        return tuple(StudyActivity(uid, 1, 0.0, 0.0) for uid in self.arriving)

    def was_removed(self, uid):
        """By retention or by a person."""
        return uid in self.removed


def catch_up(peers, store=None, window=WINDOW):
    """That of these peers."""
    return CatchUp(peers, store or Studies(), window, lambda: NOW)


def test_the_last_days_are_asked_for_and_pulled():
    """By Study Date, once for each modality; every study that fits."""
    peer = Peer("1.1", "1.2")
    catch_up({"PACS": peer}, window=Window(2, ("CT", "MR"), 10)).run()
    assert [asked.StudyDate for asked in peer.asked] == ["20261118-20261120"] * 2
    assert [asked.ModalitiesInStudy for asked in peer.asked] == ["CT", "MR"]
    assert peer.pulled == [("1.1", ("CT", "MR")), ("1.2", ("CT", "MR"))]


@pytest.mark.parametrize("store", [Studies(removed=("1.1",)), Studies(arriving=("1.1",))])
def test_what_was_removed_or_is_arriving_is_left_alone(store):
    """The one shall not come again, the other comes by itself."""
    peer = Peer("1.1", "1.2")
    catch_up({"PACS": peer}, store).run()
    assert [uid for uid, _ in peer.pulled] == ["1.2"]


def test_a_run_has_its_bound(caplog):
    """Of what came; what was here already does not count. The next run goes on."""
    peer = Peer("1.1", "1.2", "1.3", "1.4", here=("1.1",))
    catching_up = catch_up({"PACS": peer}, window=Window(2, (), 2))
    with caplog.at_level(logging.INFO):
        catching_up.run()
    assert [uid for uid, _ in peer.pulled] == ["1.1", "1.2", "1.3"]
    assert "no more than 2 are pulled in one run" in caplog.text
    catching_up.run()
    assert peer.here == {"1.1", "1.2", "1.3", "1.4"}


def test_a_silent_peer_does_not_stop_the_next(caplog):
    """It is told, with its action."""
    peer = Peer("1.1")
    catch_up({"AWAY": Silent(), "PACS": peer}).run()
    assert [uid for uid, _ in peer.pulled] == ["1.1"]
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (record.action, "AWAY" in record.getMessage()) == ("catch_up_failed", True)


def test_stopping_ends_it():
    """What is under way, and what would come next."""
    peer = Peer("1.1")
    catching_up = catch_up({"PACS": peer})
    catching_up.stop()
    catching_up.run()
    assert (peer.stopped, peer.asked) == (True, [])
