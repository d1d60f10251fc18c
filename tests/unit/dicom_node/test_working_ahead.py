"""Working ahead changes nothing but time: results are the same, settled studies go first, and nothing is harmed."""

import io
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.pipeline import Engine, analyse_study
from dicom_node.reader import LoadSettings
from dicom_node.warming import warm
from dicom_node.worker import Worker
from dicom_node.working_ahead import WorkingAhead
from inference.cards import FixedWindow, OperatingPoint, Preparation
from inference.findings import Task
from inference.models import load
from inference.registry import open_package
from inference.stages import Cascade, Stage
from sr_writer.profiles import PROFILES
from tests.builders.analyses import EQUIPMENT, WHEN
from tests.builders.datasets import mr_series
from tests.builders.network import saved
from tests.builders.packages import write_package

SHAPE = (20, 48, 40)
#: Smooth, since noise is refused; no two slices alike.
PIXELS = 80 * (5 + gaussian_filter(np.random.default_rng(5).normal(0, 10, SHAPE), (1, 3, 3))).clip(0, 10)
IMAGES = mr_series(SHAPE, pixels=PIXELS)
STUDY = str(IMAGES[0].StudyInstanceUID)
STAGES = (
    Stage(name="modality", task=Task.CLASSIFICATION, package="classifier", question="modality"),
    Stage(name="tumour", task=Task.SEGMENTATION, package="segmenter", question="tumour"),
)


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def __call__(self):
        """Seconds since the epoch."""
        return self.now


class Counting:
    """A network that counts the pictures it is asked about."""

    def __init__(self, network):
        self.network = network
        self.pictures = 0

    def __call__(self, pictures):
        """As the network."""
        self.pictures += len(pictures)
        return self.network(pictures)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A classifier and a segmenter of random weights, of which only the largest findings are kept."""
    folder, point = tmp_path_factory.mktemp("packages"), OperatingPoint(minimum_volume_ml=2.0)
    return {
        "classifier": open_package(write_package(folder / "classifier")),
        "segmenter": open_package(write_package(folder / "segmenter", Task.SEGMENTATION, operating_point=point)),
    }


def engine_of(packages):
    """Both stages, each network counted; no screenshots, which say when they were made."""
    shelf = {name: load(package) for name, package in packages.items()}
    for model in shelf.values():
        model.network = Counting(model.network)
    return Engine(LoadSettings(), Cascade(stages=STAGES), shelf, EQUIPMENT, {PROFILES["weasis"]: ("PACS",)})


@pytest.fixture
def engine(packages):
    """Stacks are scaled by all of their slices."""
    return engine_of(packages)


@pytest.fixture
def slice_wise(packages):
    """The segmenter scales each slice by a window of its own."""
    preparation = Preparation(size=64, use_window=False, window=FixedWindow(center=400, width=800))
    package = packages["segmenter"]
    card = package.card.model_copy(update={"preparation": preparation})
    return engine_of({**packages, "segmenter": replace(package, card=card)})


@pytest.fixture
def clock():
    """Stands still."""
    return Clock()


def come(store, folder, images, now=1000.0, study=STUDY):
    """Images are on disk and recorded, all at one time."""
    for image in images:
        path = saved(image, folder / study)
        store.record_instance(
            Instance(str(image.SOPInstanceUID), str(image.SOPClassUID), "1.2.840.10008.1.2.1",
                     str(image.SeriesInstanceUID), study, InstanceKind.IMAGE, path, 100, path.stem),
            calling_ae="PACS", now=now,
        )  # fmt: skip


def pictures(engine):
    """How many were asked about since the last call, by package."""
    asked = {name: model.network.pictures for name, model in engine.shelf.items()}
    for model in engine.shelf.values():
        model.network.pictures = 0
    return asked


def analysed(store, engine, study=STUDY):
    """The bytes of every result of a study."""
    paths = [instance.path for instance in store.instances(study)]
    files = []
    for result in analyse_study(study, paths, engine, WHEN).objects:
        file = io.BytesIO()
        result.dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return files


def never():
    """Nobody told of anything."""
    return False


def test_results_are_those_of_a_study_nobody_has_looked_at(store, engine, clock, tmp_path):
    """Of a stack that paused, and went on, and then was whole: not a network is asked once it has settled."""
    ahead = WorkingAhead(store, engine, clock)
    for part, pause_s in ((IMAGES[:13], 1.0), (IMAGES[13:], 10.0)):
        come(store, tmp_path, part, now=clock.now)
        clock.now += pause_s
        assert ahead.look(never) == 0.0
    assert ahead.look(never) is None
    assert pictures(engine) == {"classifier": 9 + 9, "segmenter": 13 + 20}
    results = analysed(store, ahead.engine)
    assert pictures(engine) == {"classifier": 0, "segmenter": 0}
    assert len(results) > 2
    assert results == analysed(store, engine)
    assert pictures(engine) == {"classifier": 9, "segmenter": 20}


def test_what_was_seen_of_a_part_only_is_asked_anew(store, engine, clock, tmp_path):
    """The percentiles of the whole scale each slice otherwise; results are the same all the same."""
    ahead = WorkingAhead(store, engine, clock)
    come(store, tmp_path, IMAGES[:16])
    clock.now += 1
    assert ahead.look(never) == 0.0
    come(store, tmp_path, IMAGES[16:])
    pictures(engine)
    assert analysed(store, ahead.engine) == analysed(store, engine)
    assert pictures(engine)["segmenter"] == 20 + 20


def test_slices_are_asked_about_while_images_arrive(store, slice_wise, clock, tmp_path):
    """Batch by batch, without a pause, where a package scales each slice by itself; the rest is left for the end."""
    ahead = WorkingAhead(store, slice_wise, clock)
    for number, image in enumerate(IMAGES):
        come(store, tmp_path, [image], now=clock.now)
        assert (ahead.look(never) == 0.0) is (number + 1 in (8, 16))
    assert pictures(slice_wise)["segmenter"] == 16
    results = analysed(store, ahead.engine)
    assert pictures(slice_wise)["segmenter"] == 4
    assert results == analysed(store, slice_wise)


def test_a_settled_study_goes_first(store, engine, clock, tmp_path):
    """Nothing is begun while one waits; one that settles meanwhile stops the look before the next batch. What was asked
    until then is not asked again, and what is remembered of the settled study is kept."""
    ahead = WorkingAhead(store, engine, clock)
    come(store, tmp_path, IMAGES)
    other = mr_series((2, 8, 8), study="other")
    come(store, tmp_path, other, study=str(other[0].StudyInstanceUID), now=2000.0)
    clock.now += 1
    told = iter([False, False, True])

    def settles_meanwhile():
        if not next(told):
            return False
        store.settle(STUDY, reason="quiet", now=clock.now)
        return True

    assert ahead.look(settles_meanwhile) == 0.0
    assert pictures(engine) == {"classifier": 9, "segmenter": 0}
    assert ahead.look(never) is None
    assert len(ahead.memory) == 2
    analysed(store, ahead.engine)
    assert pictures(engine) == {"classifier": 0, "segmenter": 20}


def test_an_interrupted_look_is_taken_up_again(store, engine, clock, tmp_path):
    """Once there is nothing better to do."""
    ahead = WorkingAhead(store, engine, clock)
    come(store, tmp_path, IMAGES)
    other = mr_series((2, 8, 8), study="other")
    urgent = str(other[0].StudyInstanceUID)
    come(store, tmp_path, other, study=urgent, now=clock.now)
    clock.now += 1
    calls = []

    def told_of_another():
        calls.append(1)
        if len(calls) == 3:
            store.settle(urgent, reason="quiet", now=clock.now)
        return len(calls) >= 3

    assert ahead.look(told_of_another) == 0.0
    job = store.claim("w", now=clock.now, lease_s=60.0)
    store.hold(job.job_id, "w", reason="test", now=clock.now)
    pictures(engine)
    assert ahead.look(never) == 0.0
    assert pictures(engine) == {"classifier": 0, "segmenter": 20}


def test_a_study_that_is_forgotten_while_it_arrives_is_forgotten_here_too(store, engine, clock, tmp_path):
    """Its answers go; and its files that went first harm nothing."""
    ahead = WorkingAhead(store, engine, clock)
    come(store, tmp_path, IMAGES)
    clock.now += 1
    assert ahead.look(never) == 0.0
    assert len(ahead.memory) > 0
    store.forget(STUDY, discard=lambda _study, _conflicts: None, now=clock.now)
    assert ahead.look(never) is None
    assert len(ahead.memory) == 0


def test_an_image_that_cannot_be_read_costs_the_others_nothing(store, engine, clock, tmp_path, caplog):
    """It is told of when the study is analysed, and not before; the results are the same."""
    ahead = WorkingAhead(store, engine, clock)
    come(store, tmp_path, IMAGES)
    (tmp_path / STUDY / f"{IMAGES[3].SOPInstanceUID}.dcm").write_bytes(b"nothing")
    (tmp_path / STUDY / f"{IMAGES[4].SOPInstanceUID}.dcm").unlink()
    clock.now += 1
    with caplog.at_level("INFO"):
        assert ahead.look(never) == 0.0
    assert "is not analysed" not in caplog.text
    pictures(engine)
    assert analysed(store, ahead.engine) == analysed(store, engine)
    assert pictures(engine)["segmenter"] == 18


class Broken:
    """Whoever looks falls over something that names the patient."""

    looks = 0

    def look(self, _is_told):
        """Break."""
        self.looks += 1
        raise ValueError("Doe^Jane")


def test_a_look_that_breaks_is_told_once_and_ends_no_worker(store, tmp_path, clock, caplog):
    """Without its words, which may quote the patient."""
    broken = Broken()
    worker = Worker("w", store, None, None, clock, ahead=broken)
    waits = []
    told = iter([False, False, True])
    worker.wait(lambda wait_s: waits.append(wait_s) or next(told))
    assert (broken.looks, waits) == (3, [None, None, None])
    assert caplog.text.count("Working ahead broke off: ValueError at test_working_ahead.py:") == 1
    assert "Doe" not in caplog.text


def test_a_worker_that_does_not_work_ahead_waits_until_told(store, clock):
    """As long as it takes."""
    waits = []
    Worker("w", store, None, None, clock).wait(lambda wait_s: waits.append(wait_s) or True)
    assert waits == [None]


def test_warming_asks_what_a_first_study_asks(engine, caplog):
    """And sends nothing; while a study waits, nothing is asked."""
    with caplog.at_level("INFO"):
        warm(engine, lambda: True)
    assert pictures(engine) == {"classifier": 9, "segmenter": 9}
    assert "The worker is warm" in caplog.text
    warm(engine, never)
    assert pictures(engine) == {"classifier": 0, "segmenter": 0}
