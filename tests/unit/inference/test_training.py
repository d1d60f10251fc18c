"""A recipe and a folder of pictures become a package; an interruption costs at most an epoch."""

import datetime
import json

import numpy as np
import pytest
import torch
import yaml

from inference.cards import Preparation
from inference.findings import Task
from inference.models import Classifier, Segmenter, load
from inference.registry import Package
from inference.training.augment import augment
from inference.training.classify import ClassifierCourse
from inference.training.loop import fit, learning_rate
from inference.training.pictures import OUTSIDE, draw_phantoms, load_pictures, shuffled, target_of
from inference.training.recipe import Augmentation, Question, RecipeError, load_recipe
from inference.training.run import train
from inference.training.segment import SegmenterCourse, figures
from inference.training.slices import load_slices
from tests.builders import pictures

TODAY = datetime.date(2026, 11, 20)
CPU = torch.device("cpu")


@pytest.fixture
def labelled(tmp_path):
    """A labels.csv."""
    return pictures.labelled(tmp_path / "labelled")


@pytest.fixture
def outlined(tmp_path):
    """An index.csv."""
    return pictures.outlined(tmp_path / "outlined")


def write_recipe(path, root, task, /, **changes):
    """A recipe for very little work."""
    classify = task is Task.CLASSIFICATION
    questions = {
        "modality": {"classes": ["ct", "mr"], "column": "modality"},
        "region": {
            "classes": ["brain", "knee"],
            "column": "region",
            "where": {"modality": "mr"},
            "outside": ["breast"],
        },
    }
    content = {
        "name": "small",
        "version": "0.0.1",
        "manufacturer": "tests",
        "task": task.value,
        "architecture": "resnet50" if classify else "res50-unet",
        "seed": 5,
        "questions": questions if classify else {"lesion": {"classes": ["tumour"], "column": "mask"}},
        "preparation": {"size": 32, "use_window": False},
        "data": {
            "layout": "labels-csv" if classify else "lgg-index",
            "root": str(root),
            "per_epoch": 8 if classify else 4,
            "phantoms": {"pictures": 5, "outside": 3} if classify else {"pictures": 0},
            "sources": [{"name": "drawn", "pictures": 24, "terms": "none"}],
        },
        "phases": [
            {"size": 32, "epochs": 1, "batch": 4, "learning_rate": 0.001},
            {"size": 48, "epochs": 1, "batch": 4, "learning_rate": 0.001},
        ],
        "intended_use": "tests",
        "limitations": ["means nothing"],
        "licence": "none",
    }
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.SEGMENTATION])
def test_training_makes_a_package_that_runs(tmp_path, labelled, outlined, task):
    """From recipe to a model that answers, with figures and operating point in its card."""
    root = labelled if task is Task.CLASSIFICATION else outlined
    steps = []
    path = write_recipe(tmp_path / "recipe.yaml", root, task)
    package = train(path, tmp_path / "out", today=TODAY, on_step=steps.append)
    assert isinstance(package, Package)
    assert isinstance(load(package), Classifier if task is Task.CLASSIFICATION else Segmenter)
    assert package.card.training.date == "2026-11-20"
    assert package.card.training.recipe == "recipe.yaml"
    assert (steps[-1].epoch, steps[-1].epochs, steps[-1].batch) == (2, 2, steps[-1].batches)
    if task is Task.CLASSIFICATION:
        assert 0 <= package.card.metrics["modality accuracy"] <= 1
        assert 0.5 <= package.card.operating_point.minimum_score["modality"] <= 0.99
        assert 0.1 <= package.card.operating_point.temperature["modality"] <= 10
    else:
        assert 0 <= package.card.metrics["mean patient dice"] <= 1
        assert package.card.metrics["patients"] == 1


def test_an_interrupted_training_goes_on_after_its_last_whole_epoch(tmp_path, labelled):
    """Stopped in the second epoch, it repeats that one alone, and ends as if never stopped."""
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", labelled, Task.CLASSIFICATION))

    def stop_in_the_second(step):
        if step.epoch == 2:
            raise KeyboardInterrupt

    def course():
        torch.manual_seed(recipe.seed)
        return ClassifierCourse(recipe, CPU)

    with pytest.raises(KeyboardInterrupt):
        fit(course(), recipe, tmp_path / "stopped", stop_in_the_second)
    went_on, straight = course(), course()
    epochs = []
    fit(went_on, recipe, tmp_path / "stopped", lambda step: epochs.append(step.epoch))
    fit(straight, recipe, tmp_path / "straight", lambda _: None)
    assert set(epochs) == {2}
    for folder in ("stopped", "straight"):
        lines = [json.loads(line) for line in (tmp_path / folder / "history.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1, 2]
    for name, tensor in straight.network.state_dict().items():
        assert torch.allclose(tensor, went_on.network.state_dict()[name], atol=1e-5), name


def test_a_training_may_begin_with_another_ones_network(tmp_path, labelled, caplog):
    """A new head begins anew, everything else where the other one ended; a missing beginning is told."""
    first = load_recipe(write_recipe(tmp_path / "first.yaml", labelled, Task.CLASSIFICATION))
    trained = ClassifierCourse(first, CPU)
    fit(trained, first, tmp_path / "first", lambda _: None)

    class StoppedError(Exception):
        pass

    def stop(_step):
        raise StoppedError

    questions = {"modality": {"classes": ["ct", "mr", "us"], "column": "modality"}}
    changes = {"questions": questions, "start_from": str(tmp_path / "first")}
    second = load_recipe(write_recipe(tmp_path / "second.yaml", labelled, Task.CLASSIFICATION, **changes))
    course = ClassifierCourse(second, CPU)
    untrained = course.network.state_dict()["heads.modality.weight"].clone()
    with pytest.raises(StoppedError):
        fit(course, second, tmp_path / "second", stop)
    state, before = course.network.state_dict(), trained.network.state_dict()
    assert state["trunk.conv1.weight"].allclose(before["trunk.conv1.weight"], atol=1e-3)
    assert state["heads.modality.weight"].allclose(untrained, atol=1e-3)
    nowhere = second.model_copy(update={"start_from": tmp_path / "nowhere"})
    with pytest.raises(RecipeError, match=r"start_from: .*nowhere"):
        fit(course, nowhere, tmp_path / "third", stop)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 5}, "epochs"),
        ({"phases": []}, "phases"),
        ({"task": "guessing"}, "task"),
        ({"seed": "many"}, "seed"),
    ],
)
def test_a_wrong_recipe_names_file_and_key(tmp_path, changes, told):
    """Before anything is loaded."""
    path = write_recipe(tmp_path / "recipe.yaml", tmp_path, Task.CLASSIFICATION, **changes)
    with pytest.raises(RecipeError, match=r"recipe\.yaml") as caught:
        load_recipe(path)
    assert told in str(caught.value)


def test_pictures_that_are_not_there_are_told(tmp_path):
    """With the key that names their folder."""
    path = write_recipe(tmp_path / "recipe.yaml", tmp_path / "nowhere", Task.CLASSIFICATION)
    with pytest.raises(RecipeError, match=r"data\.root: .*nowhere is no folder"):
        train(path, tmp_path / "out", today=TODAY, on_step=lambda _: None)


def test_a_recipe_takes_the_environment(tmp_path, monkeypatch):
    """`${NAME:-default}` is the variable, or the default."""
    path = write_recipe(tmp_path / "recipe.yaml", "${SOME_PICTURES:-here}/pictures", Task.CLASSIFICATION)
    monkeypatch.delenv("SOME_PICTURES", raising=False)
    assert str(load_recipe(path).data.root) == "here/pictures"
    monkeypatch.setenv("SOME_PICTURES", "there")
    assert str(load_recipe(path).data.root) == "there/pictures"


def test_the_shipped_recipes_can_be_read(request):
    """Each names its sources and their terms."""
    recipes = sorted((request.config.rootpath / "config" / "recipes").glob("*.yaml"))
    assert len(recipes) >= 2
    for path in recipes:
        assert all(source.terms for source in load_recipe(path).data.sources)


REGION = Question(classes=("brain", "knee"), column="region", where={"modality": "mr"}, outside=("breast",))


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"modality": "mr", "region": "knee"}, [0, 1]),
        ({"modality": "mr", "region": "breast"}, [0.5, 0.5]),  # outside: no idea is the right answer
        ({"modality": "mr", "region": ""}, [0, 0]),  # no label: not asked
        ({"modality": "ct", "region": "brain"}, [0, 0]),  # another modality: not asked
        ({"region": OUTSIDE}, [0.5, 0.5]),
    ],
)
def test_targets_of_a_question(labels, target):
    """One-hot, even, or not asked at all."""
    assert target_of(REGION, labels) == target


def test_pictures_are_loaded_with_their_share_of_phantoms(tmp_path, labelled, caplog):
    """18 drawn ones, less the one that is no picture, and 8 phantoms; the bad one is named in the log."""
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", labelled, Task.CLASSIFICATION))
    loaded = load_pictures(recipe, "train", 32)
    assert len(loaded) == 18 + 8
    assert loaded.squares.shape == (26, 1, 32, 32)
    assert int(loaded.outside.sum()) == 3
    assert "images/broken.jpg" in caplog.text


def test_phantoms_are_labelled_by_what_they_are():
    """Each kind as often as the others; what is outside says so in every column."""
    drawn = list(draw_phantoms(np.random.default_rng(0), 5, 3))
    assert [labels["modality"] for _, labels in drawn] == ["mr", "mr", "ct", "xr", "us", *[OUTSIDE] * 3]


def test_shuffled_pictures_keep_their_pixels():
    """The same tiles in another order."""
    squares = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    mixed = shuffled(squares, torch.Generator().manual_seed(1))
    assert not torch.equal(mixed, squares)
    assert torch.equal(mixed.flatten(1).sort(1).values, squares.flatten(1).sort(1).values)


def test_slices_come_by_patient_in_slice_order(tmp_path, outlined):
    """FLAIR is the second channel; masks lie on the bright square."""
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", outlined, Task.SEGMENTATION))
    patients = load_slices(recipe, "train", 48)
    assert [patient.patient for patient in patients] == ["a", "b"]
    first = patients[0]
    assert first.masks[0, 0, 12:22].sum() > first.masks[1, 0, 12:22].sum()  # slice 2 lies higher than slice 10
    assert torch.equal(first.squares[:, 0] > 0.5, first.masks[:, 0].bool())


def test_picture_and_mask_move_together():
    """A bright square and its mask still cover each other after turning, scaling and shifting."""
    pictures = torch.zeros(8, 1, 64, 64)
    pictures[:, :, 20:40, 16:36] = 1
    settings = Augmentation(rotate_degrees=40, scale=0.3, shift=0.1, gamma=0, contrast=0, brightness=0, blur=0, noise=0)
    moved, masks = augment(pictures, pictures.clone(), settings, torch.Generator().manual_seed(2))
    assert not torch.equal(masks, pictures)
    assert ((moved > 0.5).float() == masks).float().mean() > 0.99
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_augmented_pictures_stay_in_range_and_follow_their_seed():
    """0 to 1, and the same generator gives the same."""
    pictures = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    once, again = (augment(pictures, None, Augmentation(), torch.Generator().manual_seed(7))[0] for _ in range(2))
    assert torch.equal(once, again)
    assert 0 <= float(once.min()) <= float(once.max()) <= 1


def test_the_learning_rate_warms_up_and_falls():
    """To its height within a twentieth, then down to a hundredth."""
    rates = [learning_rate(done, 1.0) for done in np.linspace(0, 1, 201)]
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates.index(max(rates)) <= 11
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0.01)


def test_dice_is_the_mean_over_patients_and_iou_pooled():
    """A large patient that is right does not hide a small one that is wrong."""
    large, small = torch.ones(1, 100, dtype=torch.bool), torch.ones(1, 10, dtype=torch.bool)
    found = figures([large, ~small], [large, small])
    assert found["mean patient dice"] == pytest.approx(0.5, abs=1e-3)
    assert found["pooled iou"] == pytest.approx(100 / 110, abs=1e-3)


def test_a_segmenter_is_validated_on_the_square(tmp_path, outlined):
    """An untrained one has some Dice between 0 and 1."""
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", outlined, Task.SEGMENTATION))
    assert 0 <= SegmenterCourse(recipe, CPU).validate(recipe.phases[0])["score"] <= 1
    assert recipe.preparation == Preparation(size=32, use_window=False)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"- a\n- list\n", b"", b"a: [", b"just text"])
def test_a_file_that_is_no_recipe_is_told(tmp_path, content):
    """Missing, no text, no YAML, no mapping."""
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        load_recipe(path)
