"""Evaluations side by side: what was measured on the same, and nothing else."""

import json

import pytest

from inference.evaluation.compare import CompareError, Value, compare
from inference.evaluation.run import evaluate
from tests.builders import pictures
from tests.builders.command import run
from tests.builders.packages import write_package

FIGURE = {"name": "AP50", "value": 0.5, "low": 0.25, "high": 0.75, "cases": 9, "class_name": "", "source": ""}


def judged(path, *figures, **changes):
    """An evaluation.json in a folder of its own."""
    content = {"package": path.name, "version": "1.0.0", "data": "data", "split": "valid", "subjects": 3}
    path.mkdir()
    (path / "evaluation.json").write_text(json.dumps({**content, "figures": list(figures or [FIGURE]), **changes}))
    return path


def test_what_evaluate_wrote_stands_side_by_side(tmp_path):
    """A column each; what only one has is empty in the other."""
    root = pictures.labelled(tmp_path / "data")
    for name, questions in (("a", None), ("b", {"modality": ("ct", "mr")})):
        evaluate(write_package(tmp_path / "packages" / name, questions=questions), root, "valid", tmp_path / name)
    found = compare([tmp_path / "a", tmp_path / "b" / "evaluation.json"])
    table = found.table()
    assert (found.data, found.split, found.subjects) == ("data", "valid", 3)
    assert table.header == ("figure", "a 1.0.0", "b 1.0.0")
    cells = {row[0]: row[1:] for row in table.rows}
    assert all(cells["modality: accuracy"])
    assert cells["region: accuracy"][1] == ""
    assert found.markdown().splitlines()[0] == "| figure | a 1.0.0 | b 1.0.0 |"


def test_values_keep_their_intervals(tmp_path):
    """As numbers; a figure without a number is left out, one without an interval stands alone."""
    nothing = {**FIGURE, "name": "HD95", "value": None, "low": None, "high": None}
    alone = {**FIGURE, "name": "Dice", "low": None, "high": None}
    found = compare([judged(tmp_path / "a", FIGURE, nothing, alone)])
    assert [(row.figure, row.values) for row in found.rows] == [
        ("AP50", (Value(0.5, 0.25, 0.75),)),
        ("Dice", (Value(0.5, None, None),)),
    ]
    assert [row[1] for row in found.table().rows] == ["0.500 (0.250 to 0.750)", "0.500"]


def test_packages_of_one_name_have_a_column_each(tmp_path):
    """Trained twice, they are numbered as they were given."""
    paths = [judged(tmp_path / name, package="same") for name in ("a", "b", "c")]
    assert compare(paths).packages == ("same 1.0.0", "same 1.0.0 (2)", "same 1.0.0 (3)")


def test_markdown_keeps_its_columns(tmp_path):
    """A bar in a name is no border."""
    found = compare([judged(tmp_path / "a", {**FIGURE, "name": "left|right"})])
    assert found.markdown().splitlines()[2] == "| left\\|right | 0.500 (0.250 to 0.750) |"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": "other"}, "a 1.0.0 was evaluated on data, valid, 3 subjects and b 1.0.0 on other, valid, 3 subjects"),
        ({"split": "train"}, "b 1.0.0 on data, train, 3 subjects"),
        ({"subjects": 4}, "b 1.0.0 on data, valid, 4 subjects"),
    ],
)
def test_evaluations_of_something_else_do_not(tmp_path, changes, told):
    """Both are named, with what each was evaluated on."""
    with pytest.raises(CompareError, match=told):
        compare([judged(tmp_path / "a"), judged(tmp_path / "b", **changes)])


@pytest.mark.parametrize(("content", "told"), [("[]", "is no evaluation"), (None, "cannot be read")])
def test_what_is_no_evaluation_is_told(tmp_path, content, told):
    """With the command that makes one."""
    if content is not None:
        (tmp_path / "b.json").write_text(content)
    with pytest.raises(CompareError, match=rf"b\.json {told}.*dicom-node evaluate"):
        compare([judged(tmp_path / "a"), tmp_path / "b.json"])


def test_the_command_leaves_both_files(tmp_path):
    """Markdown for people, numbers for machines."""
    told = run("compare", judged(tmp_path / "a"), judged(tmp_path / "b"), "--out", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    assert "0.500 (0.250 to 0.750)" in told.stdout
    assert (tmp_path / "out" / "compare.md").read_text().count("0.500 (0.250 to 0.750)") == 2
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content["packages"] == ["a 1.0.0", "b 1.0.0"]
    assert content["rows"][0]["values"][1] == {"value": 0.5, "low": 0.25, "high": 0.75}


def test_the_command_refuses_what_does_not_fit(tmp_path):
    """Nothing is written."""
    told = run("compare", judged(tmp_path / "a"), judged(tmp_path / "b", split="train"), "--out", tmp_path / "out")
    assert told.returncode == 2
    assert "evaluate them on the same" in told.stderr
    assert not (tmp_path / "out").exists()
