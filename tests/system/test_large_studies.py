"""Two studies so large that they take for ever, and small ones that came after them and are done before."""

import os
from contextlib import suppress

import numpy as np

from dicom_node.domain.delivery import Destination
from dicom_node.domain.fairness import LARGE_IMAGES
from dicom_node.sending import send_folder
from dicom_node.storage_scu import context_wish, open_storage
from tests.builders.command import eventually, serving, write_config
from tests.builders.datasets import mr_series
from tests.builders.network import HOST, free_port, image_series, saved

_HIGH = 1


class EndlessStudy:
    """A large study, one image of which takes for ever to read: in the spool it is a pipe that nobody writes to."""

    def __init__(self, folder, name):
        shape = (LARGE_IMAGES, 8, 8)
        self._images = mr_series(shape, pixels=np.zeros(shape), study=name)
        self._folder, self.uid = folder / name, str(self._images[0].StudyInstanceUID)

    def send(self, destination, spool):
        """All of it; the pipe is there before it can settle."""
        first = saved(self._images[0], self._folder / "first")
        send_all(self._folder / "first", destination)
        [self._path] = (spool / self.uid).glob(f"*/{first.name}")
        self._kept, self._pipe = self._folder / "kept", self._folder / "pipe"
        os.link(self._path, self._kept)
        os.mkfifo(self._pipe)
        other = self._folder / "other"
        os.link(self._pipe, other)
        other.replace(self._path)
        for image in self._images[1:]:
            saved(image, self._folder / "rest")
        send_all(self._folder / "rest", destination)

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
    config, port = write_config(tmp_path / "node", free_port())
    (tmp_path / "none").mkdir()  # no model packages: every report says so, and takes no time
    config.write_text(config.read_text() + "models: {folder: ../none}\nruntime: {workers: 2, threads: 1}\n")
    destination = Destination("node", "AINODE", HOST, port)
    with serving(config, port) as node:

        def states(*uids):
            return sorted(node.study(uid).get("state", "") for uid in uids)

        large = [study.uid for study in endless]
        for study in endless:
            study.send(destination, tmp_path / "node" / "var" / "spool")
        assert eventually(lambda: states(*large) == ["ready", "running"]), states(*large)
        small = [image_series(name) for name in ("small", "little")]
        for images in small:
            for image in images:
                saved(image, tmp_path / "small")
        urgent = image_series("urgent")
        send_all(tmp_path / "small", destination)
        send_urgently([saved(image, tmp_path / "urgent") for image in urgent], destination)
        others = [str(images[0].StudyInstanceUID) for images in (*small, urgent)]
        assert eventually(lambda: states(*others) == ["delivering"] * 3), states(*others)
        assert states(*large) == ["ready", "running"]
        assert node.study(others[2])["urgency"] == "urgent"
        for study in endless:
            study.end()
