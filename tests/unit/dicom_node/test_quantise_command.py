"""`dicom-node quantise`: what it tells, and how it ends."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.model_page import tables_of
from inference import quantised
from inference.cards import JudgedFigure, Quantisation
from inference.evaluation.run import EvaluationError
from inference.findings import Task
from inference.registry import open_package
from tests.builders.packages import write_package


@pytest.fixture
def made(tmp_path):
    """A package with a word about its int8 network."""
    package = open_package(write_package(tmp_path / "made", Task.DETECTION, architecture="yolov5n"))
    judged = (JudgedFigure(name="AP50", float32=0.8969, int8=0.8942, cases=276),)
    record = Quantisation(data="pictures", pictures=300, subjects=87, made_with="nncf 3.4.0", judged=judged)
    return replace(package, card=package.card.model_copy(update={"quantisation": record}))


def quantise(tmp_path):
    """The command."""
    return CliRunner().invoke(app, ["quantise", "package", "data", "--out", str(tmp_path / "out")])


def test_what_was_judged_is_told(made, tmp_path, monkeypatch):
    """Here and by `models show`."""
    monkeypatch.setattr(quantised, "quantise", lambda *_arguments: made)
    told = quantise(tmp_path)
    assert told.exit_code == 0, told.output
    assert all(text in told.output for text in ("AP50", "0.8969", "0.8942"))
    [table] = [table for table in tables_of(made) if table.title.startswith("int8")]
    assert "300 pictures of pictures (87 subjects)" in table.title
    assert table.rows == (("AP50", "0.8969", "0.8942", "276"),)


@pytest.mark.parametrize(
    ("error", "code"), [(quantised.QuantisationError("would lose 0.0066"), 1), (EvaluationError("no such data"), 2)]
)
def test_a_refusal_is_told(tmp_path, monkeypatch, error, code):
    """Too great a loss is an outcome; what cannot be evaluated is a wrong call."""

    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(quantised, "quantise", refuse)
    told = quantise(tmp_path)
    assert told.exit_code == code
    assert str(error) in told.output
