"""Published layouts: recognised, read, labelled in the cascade's words, split by subject; and described."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from inference.cards import DataSource
from inference.datasets.describe import describe
from inference.datasets.example import DataSetError, Unreadable, readable, split_of
from inference.datasets.layouts import examples_of, layout_of, layouts
from inference.datasets.lookalikes import LookAlikes
from inference.datasets.own import read_boxes
from inference.findings import Task
from inference.training.recipe import RecipeError
from inference.training.run import train
from tests.builders import layouts as tiny
from tests.builders.command import run
from tests.unit.inference.test_training import TODAY, write_recipe

MADE = [(name, make, count) for name, ways in tiny.LAYOUTS.items() for make, count in ways]


@pytest.fixture(params=MADE, ids=[make.__name__ for _, make, _ in MADE])
def made(request, tmp_path):
    """A folder of each layout: (its name, the folder, how many examples it has)."""
    name, make, count = request.param
    make(tmp_path / "data")
    return name, tmp_path / "data", count


def test_a_folder_is_recognised_and_read(made):
    """Every example has a subject, a split, a name of its own, and pixels, but for the broken ones."""
    name, root, count = made
    layout = layout_of(root)
    assert layout.name == name
    examples = list(layout.examples(root))
    assert len({example.name for example in examples}) == count
    assert len(examples) == count
    assert all(example.subject and example.split in ("train", "valid") for example in examples)
    for _, stack in readable(examples):
        assert stack.pixels.dtype == np.float32
        assert stack.pixels.ndim == 3
        assert stack.mask is None or (stack.mask.shape == stack.pixels.shape and stack.mask.dtype == bool)


def test_every_layout_is_tried_here():
    """A new one needs a folder in the builder; DICOM folders are tried beside the node's other readers."""
    assert set(layouts()) == {*tiny.LAYOUTS, "dicom"}


LABELS = [
    ("mura", {"modality": "xr", "region": "elbow", "abnormal": "yes", "source": "mura"}),
    ("lera", {"modality": "xr", "region": "joint", "abnormal": "yes", "source": "lera"}),
    ("fracatlas", {"modality": "xr", "region": "hand", "abnormal": "yes", "source": "fracatlas"}),
    ("mrnet", {"modality": "mr", "region": "knee", "plane": "axial", "abnormal": "yes", "source": "mrnet"}),
    ("brainmetshare", {"modality": "mr", "region": "brain", "plane": "axial", "source": "brainmetshare",
                       "series": "bravo"}),
    ("kaggle-3m", {"modality": "mr", "region": "brain", "plane": "axial", "source": "kaggle_3m"}),
    ("ol3i", {"modality": "ct", "region": "abdomen", "plane": "axial", "source": "ol3i"}),
    ("echonet-dynamic", {"modality": "us", "region": "heart", "source": "echonet"}),
    ("busi", {"modality": "us", "region": "breast", "abnormal": "yes", "kind": "benign", "source": "busi"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "labels"), LABELS, ids=[name for name, _ in LABELS])
def test_labels_are_the_cascades(tmp_path, name, labels):
    """Of the first example."""
    tiny.LAYOUTS[name][0][0](tmp_path / "data")
    assert dict(next(layout_of(tmp_path / "data").examples(tmp_path / "data")).labels) == labels


def test_publishers_splits_are_kept(tmp_path):
    """Under whatever name they have there."""
    for make, train_, valid in ((tiny.mura, 2, 1), (tiny.ol3i, 1, 1), (tiny.echonet, 1, 1), (tiny.mrnet, 3, 3)):
        root = tmp_path / make.__name__
        make(root)
        assert len(list(examples_of(root, "train"))) == train_
        assert len(list(examples_of(root, "valid"))) == valid


def test_without_a_split_subjects_are_split_for_good():
    """About one in seven validates, and it is always the same one."""
    subjects = [f"patient {number}" for number in range(2000)]
    part = sum(split_of(subject) == "valid" for subject in subjects) / len(subjects)
    assert part == pytest.approx(0.15, abs=0.03)
    assert [split_of(subject) for subject in subjects] == [split_of(subject) for subject in subjects]


def test_slices_are_in_the_order_of_their_numbers(tmp_path):
    """Slice 10 comes after slice 9, not after slice 1."""
    tiny.kaggle_3m(tmp_path)
    example = next(layout_of(tmp_path).examples(tmp_path))
    drawn = [np.random.default_rng(number).integers(0, 255, (6, 5, 3), dtype=np.uint8) for number in range(1, 12)]
    wanted = [int(picture[0, 0, 1]) for picture in drawn]
    assert example.read().pixels[:, 0, 0].tolist() == wanted


def test_masks_lie_on_their_slices(tmp_path):
    """NIfTI volumes are turned with their masks; several masks of one picture are one."""
    tiny.brainmetshare_nifti(tmp_path / "nifti")
    stack = next(layout_of(tmp_path / "nifti").examples(tmp_path / "nifti")).read()
    assert stack.pixels.shape == (6, 24, 20)
    assert stack.mask.sum() == 3 * 6
    assert np.flatnonzero(stack.mask.any((1, 2))).tolist() == [4]
    tiny.busi(tmp_path / "busi")
    masks = [stack.mask.sum() for _, stack in readable(layout_of(tmp_path / "busi").examples(tmp_path / "busi"))]
    assert masks == [100, 100, 0]


def test_boxes_are_corners(tmp_path):
    """And no box is not the same as nobody looked."""
    tiny.fracatlas(tmp_path)
    boxes = [stack.boxes for _, stack in readable(layout_of(tmp_path).examples(tmp_path))]
    assert [len(found) for found in boxes] == [1, 0, 0]
    (box,) = boxes[0]
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((0.4, 0.3, 0.6, 0.7))


@pytest.mark.parametrize("line", ["-1 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1", "0 0.5 0.5 0.1 1.5", "a 0.5 0.5 0.1 0.1"])
def test_a_wrong_line_of_boxes_is_told(tmp_path, line):
    """With its number, and what was expected."""
    (tmp_path / "labels.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataSetError, match=r"labels\.txt:2: expected a class"):
        read_boxes(tmp_path / "labels.txt")


def _spoil(path):
    path.write_bytes(b"nothing of the sort")


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (tiny.mura, "train/*/*/*/image1.png"),
        (tiny.mrnet, "train/axial/*.npy"),
        (tiny.brainmetshare_nifti, "*/bravo.nii.gz"),
        (tiny.brainmetshare_png, "*/*/0/3.png"),
        (tiny.kaggle_3m, "*4941*/*_3.tif"),
        (tiny.ol3i, "l3_slices.h5"),
        (tiny.echonet, "Videos/0X1.avi"),
        (tiny.busi, "benign/*_mask.png"),
    ],
)
def test_a_corrupt_file_is_named_and_passed_over(tmp_path, make, pattern, caplog):
    """Whatever it is stored as; the others are read."""
    make(tmp_path / "data")
    for path in (tmp_path / "data").glob(pattern):
        _spoil(path)
    examples = list(layout_of(tmp_path / "data").examples(tmp_path / "data"))
    kept = list(readable(examples))
    assert len(kept) < len(examples)
    assert "unreadable picture left out" in caplog.text
    lost = next(example for example in examples if example.name not in {each.name for each, _ in kept})
    with pytest.raises(Unreadable):
        lost.read()


def test_what_is_no_data_set_is_told(tmp_path):
    """An unknown layout, an unknown name, no folder, a table without the columns."""
    for root, name, told in ((tmp_path, "", "none of the known"), (tmp_path, "muras", "known are mura"),
                             (tmp_path / "nowhere", "", "is no folder")):  # fmt: skip
        with pytest.raises(DataSetError, match=told):
            layout_of(root, name)
    (tmp_path / "labels.csv").write_text("path,modality\na.png,ct\n")
    with pytest.raises(DataSetError, match="no path or no split"):
        list(examples_of(tmp_path, "train", "labels-csv"))


@pytest.mark.parametrize(
    ("make", "layout", "task"),
    [(tiny.mura, "mura", Task.CLASSIFICATION), (tiny.kaggle_3m, "kaggle-3m", Task.SEGMENTATION)],
)
def test_a_recipe_may_name_a_published_layout(tmp_path, make, layout, task, monkeypatch):
    """And learns from it."""
    monkeypatch.setattr("inference.datasets.sections.split_of", lambda name: "valid" if "DU" in name else "train")
    make(tmp_path / "data")
    questions = {"region": {"classes": ["elbow", "hand", "wrist"], "column": "region"}}
    changes = {"questions": questions} if task is Task.CLASSIFICATION else {}
    path = write_recipe(tmp_path / "recipe.yaml", tmp_path / "data", task, **changes)
    content = json.dumps({"layout": layout, "root": str(tmp_path / "data"), "per_epoch": 4,
                          "sources": [DataSource(name="drawn", pictures=3, terms="none").model_dump()]})  # fmt: skip
    path.write_text(path.read_text().replace("data:\n", f"data: {content}\nleft:\n", 1))
    text = path.read_text()
    start, end = text.index("left:\n"), text.index("intended_use")
    path.write_text(text[:start] + text[end:])
    package = train(path, tmp_path / "out", today=TODAY, on_step=lambda _: None)
    assert package.card.metrics


def test_a_layout_that_has_nothing_for_the_task_is_told(tmp_path):
    """Before anything is read."""
    tiny.mura(tmp_path / "data")
    path = write_recipe(tmp_path / "recipe.yaml", tmp_path / "data", Task.SEGMENTATION)
    path.write_text(path.read_text().replace("layout: lgg-index", "layout: mura"))
    with pytest.raises(RecipeError, match="mura has nothing for segmentation"):
        train(path, tmp_path / "out", today=TODAY, on_step=lambda _: None)


def test_a_description_counts_what_is_there(tmp_path):
    """Balance, sizes, what is broken, what is there twice, who is on both sides."""
    tiny.mura(tmp_path)
    picture = tmp_path / "train/XR_HAND/patient00002/study1_negative/image1.png"
    leaked = tmp_path / "valid/XR_HAND/patient00002/study2_negative"
    leaked.mkdir(parents=True)
    (leaked / "image1.png").write_bytes(picture.read_bytes())
    (leaked / "image2.png").write_bytes(b"torn")
    description = describe(layout_of(tmp_path).examples(tmp_path))
    assert (description.examples, description.slices) == (5, 4)
    assert description.leaks == ("patient00002",)
    assert description.duplicates_across_splits == 1
    assert list(description.unreadable) == ["valid/XR_HAND/patient00002/study2_negative/image2.png"]
    assert description.labels["region"]["train", "elbow"] == 1
    assert description.sizes == {(48, 40): 4}


def test_a_picture_looks_like_itself_after_compression_and_like_no_other():
    """Look-alikes are found by what is seen, in whatever split; what is all of one value looks like nothing."""
    rng = np.random.default_rng(5)
    coarse = [Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)) for _ in range(3)]
    pictures = [each.resize((128, 128), Image.Resampling.BICUBIC) for each in coarse]
    file = io.BytesIO()
    pictures[0].save(file, format="JPEG", quality=75)
    found = LookAlikes()
    for name, picture in enumerate([*pictures, Image.open(file)]):
        found.add(np.asarray(picture, np.float32), "valid" if name == 3 else "train", str(name))
    for name in ("black", "also black"):
        found.add(np.zeros((64, 64), np.float32), "train", name)
    assert found.groups == ((("train", "0"), ("valid", "3")),)


def test_the_command_ends_with_1_where_a_subject_leaks(tmp_path):
    """And with 0 where none does, with 2 where there is no data set."""
    tiny.mura(tmp_path / "data")
    whole = run("data", "describe", tmp_path / "data")
    assert whole.returncode == 0, whole.stderr
    assert "patient" not in whole.stdout.split("balance")[0]
    leaked = tmp_path / "data/valid/XR_ELBOW/patient00001/study2_positive"
    leaked.mkdir(parents=True)
    tiny._picture(leaked / "image1.png")
    told = run("data", "describe", tmp_path / "data", "--json")
    assert told.returncode == 1
    assert "1 subjects are in more than one split" in told.stderr
    assert json.loads(told.stdout)["subjects_in_several_splits"] == ["patient00001"]
    assert run("data", "describe", tmp_path / "nowhere").returncode == 2
