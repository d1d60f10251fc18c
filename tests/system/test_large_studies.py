"""Two studies so large that they take for ever, and small ones that came after them and are done before."""

import os
import time
from contextlib import closing, suppress
from dataclasses import replace

from dicom_node.domain.delivery import Destination
from dicom_node.domain.fairness import LARGE_BYTES
from dicom_node.domain.urgency import Urgency
from dicom_node.sending import send_folder
from dicom_node.storage_scu import context_wish, open_storage
from dicom_node.store import Store
from tests.builders.command import eventually, serving, write_config
from tests.builders.network import HOST, free_port, image_series, saved

_HIGH = 1


class EndlessStudy:
    """A large study, one image of which takes for ever to read: in the spool it is a pipe that nobody writes to."""

    def __init__(self, folder, name):
        self._image, self._name, self._folder = image_series(name)[0], name, folder / name
        self.uid = str(self._image.StudyInstanceUID)

    def send(self, destination, store):
        """One image by C-STORE, and word of another that has all the bytes; before it can settle, the pipe is there."""
        saved(self._image, self._folder / "sent")
        send_all(self._folder / "sent", destination)
        [received] = store.instances(self.uid)
        huge = replace(received, sop_instance_uid=f"{received.sop_instance_uid}.1", size_bytes=LARGE_BYTES)
        store.record_instance(huge, calling_ae="PACS", now=time.time())
        self._path, self._kept, self._pipe = received.path, self._folder / "kept", self._folder / "pipe"
        os.link(self._path, self._kept)
        os.mkfifo(self._pipe)
        os.link(self._pipe, self._folder / "other")
        (self._folder / "other").replace(self._path)

    def end(self):
        """Whoever reads the pipe comes to its end; whoever comes later finds the image."""
        self._kept.replace(self._path)
        with suppress(OSError):  # nobody reads it
            os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))


def send_all(folder, destination):
    """As the PACS."""
    assert all(result.arrived for result in send_folder(folder, destination, "PACS"))


def send_urgently(paths, destination):
    """With priority high, which the node's own sender never asks for."""
    with open_storage(destination, "PACS", {context_wish(paths[0])}) as sender:
        for path in paths:
            assert sender._association.send_c_store(path, priority=_HIGH).Status == 0


def test_large_studies_hold_up_neither_small_nor_urgent_ones(tmp_path):
    """One large study has a worker, the other waits for it; the rest go by."""
    endless = [EndlessStudy(tmp_path, name) for name in ("huge", "vast")]
    config, port = write_config(tmp_path / "node", free_port(), quiet_seconds=2)
    (tmp_path / "none").mkdir()  # no model packages: every report says so, and takes no time
    runtime = "runtime: {workers: 2, threads: 1, niceness: 0}\n"
    config.write_text(config.read_text() + "models: {folder: ../none}\n" + runtime)
    destination = Destination("node", "AINODE", HOST, port)
    small, little, urgent = (image_series(name) for name in ("small", "little", "urgent"))
    with serving(config, port), closing(Store.open(tmp_path / "node" / "var" / "node.db")) as store:

        def states(*uids):
            return sorted(each.state for each in store.studies() if each.study_instance_uid in uids)

        large = [study.uid for study in endless]
        for study in endless:
            study.send(destination, store)
        assert eventually(lambda: states(*large) == ["ready", "running"]), states(*large)
        for image in (*small, *little):
            saved(image, tmp_path / "small")
        send_all(tmp_path / "small", destination)
        send_urgently([saved(image, tmp_path / "urgent") for image in urgent], destination)
        others = [str(images[0].StudyInstanceUID) for images in (small, little, urgent)]
        assert eventually(lambda: states(*others) == ["delivering"] * 3), states(*others)
        assert states(*large) == ["ready", "running"]
        assert store.history(others[2]).study.urgency is Urgency.URGENT
        for study in endless:
            study.end()
        assert eventually(lambda: states(*large) == ["delivering"] * 2), states(*large)
