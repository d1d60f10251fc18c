"""Boxes: from labels through training to findings on the source's own grid."""

import datetime

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from inference.cards import OperatingPoint
from inference.cascade import run_cascade
from inference.findings import Outcome, Region, Task
from inference.interpret import intersection_over_union, track
from inference.models import Detector, load, regions
from inference.registry import open_package
from inference.stages import Cascade, Stage
from inference.training.augment import draw_views, move_boxes
from inference.training.boxes import load_boxed
from inference.training.detect import DetectorCourse, at_threshold, average_precision
from inference.training.recipe import Augmentation, Phantoms, RecipeError, load_recipe
from inference.training.run import train
from inference.transforms import Placement
from tests.builders import pictures as drawn
from tests.builders.packages import volume_of, write_package

SQUARE = Placement(64, 64, 64)
POINT = OperatingPoint(threshold=0.5)


def region(left, top, right, bottom, score=0.9, slice_index=0, label="tumour"):
    """A box."""
    return Region(label, score, slice_index, left, top, right, bottom)


def candidates(*boxes):
    """Candidates (4 + 2 classes, n) from (centre x, centre y, width, height, score of a, score of b)."""
    return torch.tensor(boxes, dtype=torch.float32).T


def test_weak_candidates_are_no_boxes():
    """Only what is above the threshold."""
    found = regions(candidates((20, 20, 10, 10, 0.9, 0), (50, 50, 10, 10, 0.5, 0)), ("a", "b"), 3, SQUARE, POINT)
    assert [(box.label, box.slice_index, box.left, box.bottom) for box in found] == [("a", 3, 15, 25)]


def test_of_boxes_that_overlap_the_best_counts():
    """Within a class; another class has its own."""
    boxes = ((20, 20, 10, 10, 0.8, 0), (21, 20, 10, 10, 0.9, 0), (20, 21, 10, 10, 0, 0.7), (50, 50, 10, 10, 0.6, 0))
    found = regions(candidates(*boxes), ("a", "b"), 0, SQUARE, POINT)
    assert [(box.label, round(box.score, 1)) for box in found] == [("a", 0.9), ("b", 0.7), ("a", 0.6)]


def test_boxes_return_to_the_grid_of_the_source():
    """A picture of 50 rows and 100 columns fills the middle of the square, at 0.64."""
    (box,) = regions(candidates((32, 32, 64, 16, 0.9, 0)), ("a", "b"), 0, Placement(50, 100, 64), POINT)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((0, 12.5, 100, 37.5))


def test_boxes_in_the_padding_are_dropped():
    """And those that reach into it are cut."""
    boxes = ((32, 4, 10, 8, 0.9, 0), (32, 16, 10, 10, 0.8, 0))
    (box,) = regions(candidates(*boxes), ("a", "b"), 0, Placement(50, 100, 64), POINT)
    assert box.top == 0
    assert box.bottom == pytest.approx(5 / 0.64)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [((0, 0, 10, 10), 1.0), ((5, 0, 15, 10), 1 / 3), ((10, 0, 20, 10), 0.0), ((2, 2, 7, 7), 0.25)],
)
def test_overlap_is_intersection_over_union(other, overlap):
    """Of areas."""
    assert intersection_over_union(region(0, 0, 10, 10), region(*other)) == pytest.approx(overlap)


def test_one_thing_on_several_slices_is_one_finding():
    """Its best box stands for it; a slice may be missing, two may not; another place is another thing."""
    boxes = [
        region(10, 10, 20, 20, 0.6, 4),
        region(11, 10, 21, 20, 0.9, 5),
        region(10, 11, 20, 21, 0.7, 7),  # slice 6 is missing
        region(10, 11, 20, 21, 0.65, 10),  # 8 and 9 are: another thing
        region(40, 40, 50, 50, 0.8, 5),
        region(42, 42, 46, 45, 0.5, 6),  # its small end
        region(17, 17, 27, 27, 0.4, 11),  # touches the one before it, and is another thing
    ]
    found = track(boxes)
    assert [(box.score, box.slice_index) for box in found] == [(0.9, 5), (0.8, 5), (0.65, 10), (0.4, 11)]
    assert [box.slice_extent for box in found] == [(4, 7), (5, 6), (10, 10), (11, 11)]
    assert track([]) == ()


def test_a_detector_is_a_stage_like_any_other(tmp_path):
    """A package of random weights looks at every slice, and its boxes lie within the image."""
    point = OperatingPoint(threshold=0.001)
    folder = write_package(tmp_path / "boxes", Task.DETECTION, architecture="yolov5n",
                           questions={"tumour": ("tumour",)}, operating_point=point)  # fmt: skip
    model = load(open_package(folder))
    assert isinstance(model, Detector)
    stage = Stage(name="boxes", task=Task.DETECTION, package="boxes", question="tumour")
    volume = volume_of(np.random.default_rng(0).uniform(0, 255, (10, 30, 50)))
    (run,) = run_cascade(volume, Cascade(stages=(stage,)), {"boxes": model})
    assert run.outcome is Outcome.COMPLETE
    assert {box.slice_index for box in model.boxes(volume)} <= set(range(10))
    for box in run.regions:
        assert 0 <= box.left < box.right <= 50
        assert 0 <= box.top < box.bottom <= 30


def test_ultralytics_is_kept_from_the_network():
    """No look for the internet, no counting of users, no installation."""
    from ultralytics import utils  # noqa: PLC0415

    import inference.yolo  # noqa: F401, PLC0415  # its switches are what is tested

    assert Image.open.__module__ == "PIL.Image"
    assert utils.ONLINE is False
    assert utils.AUTOINSTALL is False
    assert utils.SETTINGS["sync"] is False


def test_boxes_move_with_their_pictures():
    """A bright square is where its box went, whatever the view."""
    from inference.training.augment import change  # noqa: PLC0415

    settings = Augmentation(rotate_degrees=30, scale=0.3, shift=0.1, gamma=0, contrast=0, brightness=0, blur=0, noise=0)
    pictures = torch.zeros(16, 1, 64, 64)
    pictures[:, :, 20:36, 16:40] = 1
    views = draw_views(16, settings, torch.Generator().manual_seed(4))
    seen = change(pictures, views, settings, torch.Generator().manual_seed(5))
    for picture, view in zip(seen, views, strict=True):
        (moved,) = move_boxes(torch.tensor([[16, 20, 40, 36]]) / 64, view)
        rows, columns = torch.nonzero(picture[0] > 0.5, as_tuple=True)
        around = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 64
        assert torch.allclose(moved, around, atol=0.03)


def test_a_box_that_left_the_picture_is_gone():
    """One of which most is outside teaches nothing."""
    away = torch.tensor([[1.0, 0.0, 1.6], [0.0, 1.0, 0.0]])  # everything moves far to the left
    assert len(move_boxes(torch.tensor([[0.1, 0.4, 0.3, 0.6]]), away)) == 0
    assert len(move_boxes(torch.zeros(0, 4), away)) == 0


@pytest.fixture
def boxed(tmp_path):
    """Pictures with boxes."""
    return drawn.boxed(tmp_path / "boxed")


def recipe_for(path, root):
    """A recipe for very little work."""
    content = {
        "name": "boxes",
        "version": "0.0.1",
        "manufacturer": "tests",
        "task": "detection",
        "architecture": "yolov5n",
        "seed": 5,
        "questions": {"tumour": {"classes": ["tumour"]}},
        "preparation": {"size": 64, "use_window": False},
        "data": {"layout": "yolo", "root": str(root), "sources": [{"name": "drawn", "pictures": 12, "terms": "none"}]},
        "phases": [{"size": 64, "epochs": 1, "batch": 4, "learning_rate": 0.001}],
        "intended_use": "tests",
        "limitations": ["means nothing"],
        "licence": "none",
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_labels_lie_on_their_pictures(tmp_path, boxed, caplog):
    """In parts of the square, whose padding is above and below here; the broken file is named."""
    pictures = load_boxed(load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed)), "train", 64)
    assert len(pictures) == 12
    assert pictures.boxes[0].shape == (0, 4)
    (box,) = (pictures.boxes[1] * 64).round().tolist()
    assert box == [16, 20, 32, 44]
    assert float(pictures.squares[1, 0, 20:44, 16:32].mean()) > 0.95
    assert "broken.jpg" in caplog.text


def test_phantoms_are_mixed_in_for_training_alone(tmp_path, boxed):
    """A box around every lesion, on the slices that have one."""
    recipe = load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed))
    mixed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"phantoms": Phantoms(pictures=24)})})
    pictures = load_boxed(mixed, "train", 64)
    assert len(pictures) == len(pictures.squares) == len(pictures.classes) == 12 + 24
    of_phantoms = pictures.boxes[12:]
    assert 0 < sum(map(len, of_phantoms)) <= 24
    assert all(((box >= 0) & (box <= 1)).all() and (box[:, 2:] > box[:, :2]).all() for box in of_phantoms)
    assert len(load_boxed(mixed, "valid", 64)) == len(load_boxed(recipe, "valid", 64))


def test_a_box_of_an_unknown_class_is_told(tmp_path, boxed):
    """The recipe has one class, the file a second one."""
    (boxed / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    with pytest.raises(RecipeError, match=r"images/train/1\.jpg: a box of a class beyond the 1"):
        load_boxed(load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed)), "train", 64)


def test_training_a_detector_makes_a_package_that_runs(tmp_path, boxed):
    """With average precision and the threshold that was chosen."""
    path = recipe_for(tmp_path / "recipe.yaml", boxed)
    package = train(path, tmp_path / "out", today=datetime.date(2026, 11, 20), on_step=lambda _: None)
    assert isinstance(load(package), Detector)
    assert 0 <= package.card.metrics["AP50"] <= 1
    assert package.card.metrics["pictures"] == 4
    assert 0.05 <= package.card.operating_point.threshold <= 0.9


def test_batches_carry_the_boxes_of_their_pictures(tmp_path, boxed):
    """Each with the number of its picture in the batch."""
    recipe = load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed))
    course = DetectorCourse(recipe, torch.device("cpu"))
    for pictures, targets in course.batches(recipe.phases[0], torch.Generator().manual_seed(0)):
        assert pictures.shape == (4, 1, 64, 64)
        assert len(targets["batch_idx"]) == len(targets["cls"]) == len(targets["bboxes"])
        for number, box in zip(targets["batch_idx"], targets["bboxes"], strict=True):
            centre = (box[:2] * 64).int()
            assert pictures[int(number), 0, centre[1], centre[0]] > pictures[int(number), 0].mean()


def test_figures_of_boxes_follow_from_hits_and_misses(tmp_path, boxed):
    """Three truths: one met well, one met badly, one missed; and one box in vain on the empty picture."""
    pictures = load_boxed(load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed)), "valid", 64)
    left, top, right, bottom = pictures.boxes[1][0].tolist()
    exact = region(left, top, right, bottom, 0.9)
    beside = region(left + 0.5, top, right + 0.5, bottom, 0.8)
    found = [[region(0.1, 0.1, 0.2, 0.2, 0.6)], [exact], [beside], []]
    figures = at_threshold(found, pictures, 0.5)
    assert figures["precision"] == pytest.approx(1 / 3)
    assert figures["sensitivity"] == pytest.approx(1 / 3)
    assert figures["boxes in vain per picture"] == pytest.approx(2 / 4)
    assert at_threshold(found, pictures, 0.85)["precision"] == 1
    assert average_precision(found, pictures)["AP50"] == pytest.approx(1 / 3, abs=0.01)
    assert average_precision([[], [exact], [exact], [exact]], pictures)["AP50"] == pytest.approx(1, abs=0.01)


def test_two_boxes_on_one_truth_are_one_hit(tmp_path, boxed):
    """The second is in vain."""
    pictures = load_boxed(load_recipe(recipe_for(tmp_path / "recipe.yaml", boxed)), "valid", 64)
    box = region(*pictures.boxes[1][0].tolist(), 0.9)
    assert at_threshold([[], [box, box], [], []], pictures, 0.5)["precision"] == 0.5
