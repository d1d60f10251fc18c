"""A package gets an int8 network beside its weights, if its own evaluation allows: `dicom-node quantise`.

Calibrated by NNCF on pictures of the training split, judged on those of the validation split as `dicom-node evaluate`
does. NNCF is needed here alone; the node runs what it made with OpenVINO.
"""

from __future__ import annotations

import logging
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino._offline_transformations import apply_moc_transformations

from inference.cards import LARGEST_LOSS, QUANTISED_FILES, Card, JudgedFigure, Quantisation, loss_of
from inference.compiled import CompiledNetwork, Compiling, NotConvertibleError, Precision, converted
from inference.datasets.example import DataSetError, readable
from inference.datasets.layouts import examples_of
from inference.evaluation.figures import Evaluation
from inference.evaluation.run import EvaluationError, card_figures, keep, measured
from inference.findings import Task
from inference.interpret import slices_to_show
from inference.models import load, own_network
from inference.registry import BrokenPackage, Package, open_package, sha256_of
from inference.transforms import prepare

#: Pictures that activations are calibrated on; NNCF's own choice.
_PICTURES = 300
_SEED = 20261126
#: What a detector computes after its last convolutions: boxes in pixels and scores, which 256 steps cannot hold.
_DECODING = ("Divide", "Multiply", "Sigmoid", "Softmax", "Subtract")
#: What a package of each task is judged by: figures whose names end so.
_JUDGED = {
    Task.CLASSIFICATION: (": accuracy", ": balanced accuracy"),
    Task.SEGMENTATION: ("Dice",),
    Task.DETECTION: ("AP50",),
}


class QuantisationError(ValueError):
    """A package that cannot be had in int8, or would lose too much by it; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Network inputs (1, channels, size, size) of the training split, and whose they are."""

    data: str
    inputs: tuple[NDArray[np.float32], ...]
    subjects: int


def quantise(folder: Path, data: Path, out: Path, layout: str = "") -> Package:
    """Leave both evaluations in `out`, and the package with its int8 network in `out`/package.

    Raises QuantisationError, with the figures where these are the reason; EvaluationError for a package or a data set
    that cannot be evaluated.
    """
    package = _unquantised(folder)
    if (out / "package").exists():
        raise QuantisationError(f"{out / 'package'} is there already; remove it, or give another folder")
    reference = load(package, Compiling(Precision.FLOAT32))
    if isinstance(reference, BrokenPackage):
        raise EvaluationError(f"{folder}: {reference.reason}")
    calibration = calibration_of(package.card, data, layout)
    model = in_int8(package, calibration)
    fast = type(reference)(package, CompiledNetwork(model, package.card, Precision.BFLOAT16))
    before, after = (measured(each, data, "valid", layout) for each in (reference, fast))
    keep(before, out / "float32")
    keep(after, out / "int8")
    judged = judged_figures(package.card.task, before, after)
    if (loss := loss_of(judged)) > LARGEST_LOSS:
        told = "; ".join(f"{each.name} {each.float32:.4f} to {each.int8:.4f}" for each in judged)
        raise QuantisationError(f"{folder}: int8 would lose {loss:.4f}, and {LARGEST_LOSS:g} is allowed: {told}")
    return _written(package, model, out / "package", (calibration, judged, after))


def _unquantised(folder: Path) -> Package:
    package = open_package(folder)
    if isinstance(package, BrokenPackage):
        raise EvaluationError(f"{folder}: {package.reason}")
    if not package.card.architecture:
        raise QuantisationError(f"{folder}: its network is a file of its own; quantise that where it was made")
    if package.card.quantisation is not None:
        raise QuantisationError(f"{folder} has an int8 network already; begin with the package it was made from")
    return package


def calibration_of(card: Card, data: Path, layout: str = "") -> Calibration:
    """Pictures of the training split, drawn without regard to what they show, of a stack as many as a classifier would
    look at. Raises EvaluationError."""
    inputs, subjects = list[NDArray[np.float32]](), set[str]()
    try:
        examples = list(examples_of(data, "train", layout))
        random.Random(_SEED).shuffle(examples)
        for example, stack in readable(examples):
            pictures, _ = prepare(stack.pixels, None, card.preparation)
            inputs += [pictures[[index]].numpy() for index in slices_to_show(len(pictures))]
            subjects.add(example.subject)
            if len(inputs) >= _PICTURES:
                break
    except DataSetError as error:
        raise EvaluationError(str(error)) from error
    if not inputs:
        raise EvaluationError(f"{data} has no picture for train that can be read")
    return Calibration(data.name, tuple(inputs), len(subjects))


def in_int8(package: Package, calibration: Calibration) -> openvino.Model:
    """The package's network in int8, as far as that pays; the rest stays float. Raises QuantisationError."""
    nncf, card = silent_nncf(), package.card
    try:
        model = converted(own_network(package), card)
    except NotConvertibleError as error:
        raise QuantisationError(f"{package.folder}: OpenVINO cannot convert its network ({error})") from error
    apply_moc_transformations(model, cf=True)  # batch normalisation goes into the convolutions before them
    decoding = nncf.IgnoredScope(types=list(_DECODING), validate=False) if card.task is Task.DETECTION else None
    model_in_int8: openvino.Model = nncf.quantize(
        model,
        nncf.Dataset(calibration.inputs),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration.inputs),
        ignored_scope=decoding,
    )
    return model_in_int8


def silent_nncf() -> ModuleType:
    """NNCF, which tells nobody of its use. Raises QuantisationError."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        import nncf  # noqa: PLC0415  # takes seconds, and only this needs it
    except ImportError as error:
        raise QuantisationError("nncf is not installed; install this project with its extra `quantise`") from error
    nncf.set_log_level(logging.WARNING)
    module: ModuleType = nncf
    return module


def judged_figures(task: Task, before: Evaluation, after: Evaluation) -> tuple[JudgedFigure, ...]:
    """What the loss is read from. Raises QuantisationError where there is nothing, or no number."""
    values = {figure.name: figure.value for figure in after.figures}
    judged = tuple(
        JudgedFigure(name=figure.name, float32=figure.value, int8=values[figure.name], cases=figure.cases)
        for figure in before.figures
        if figure.name.endswith(_JUDGED[task]) and np.isfinite([figure.value, values[figure.name]]).all()
    )
    if not judged:
        raise QuantisationError("the evaluation has no figure that a loss could be read from")
    return judged


_Made = tuple[Calibration, Sequence[JudgedFigure], Evaluation]


def _written(package: Package, model: openvino.Model, folder: Path, made: _Made) -> Package:
    calibration, judged, after = made
    folder.mkdir()
    shutil.copyfile(package.folder / package.card.file, folder / package.card.file)
    xml, weights = QUANTISED_FILES
    openvino.save_model(model, folder / xml, compress_to_fp16=False)
    quantisation = Quantisation(
        data=calibration.data,
        pictures=len(calibration.inputs),
        subjects=calibration.subjects,
        made_with=", ".join(f"{name} {version(name)}" for name in ("nncf", "openvino", "torch")),
        judged=tuple(judged),
    )
    changes = {
        "version": f"{package.card.version}+int8",
        "quantisation": quantisation,
        "figures": card_figures(after),
        "further_sha256": {name: sha256_of(folder / name) for name in (xml, weights)},
    }
    Card.model_validate(package.card.model_dump() | changes).save(folder)
    whole = open_package(folder)
    if isinstance(whole, BrokenPackage):
        raise QuantisationError(f"{folder}: {whole.reason}")
    return whole
