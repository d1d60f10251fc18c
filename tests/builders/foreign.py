"""Model packages whose network is an ONNX or an OpenVINO file, as a customer would bring them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper

from inference.cards import Card, OperatingPoint, Outputs, Preparation, Training
from inference.findings import Task
from inference.registry import sha256_of

SIZE = 32
PLAIN = Preparation(size=SIZE, use_window=False, lower_percentile=0, upper_percentile=100, mean=0.5, std=0.5)


def _model(nodes: Sequence[onnx.NodeProto], shapes: Mapping[str, Sequence[int | str]], channels: int, batch: int | str,
           **weights: np.ndarray) -> onnx.ModelProto:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "brought",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [batch, channels, SIZE, SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in shapes.items()],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def classifier(*, activated: bool = False, channels: int = 1, batch: int | str = "n") -> onnx.ModelProto:
    """Two questions: is the mean above 0 ("bright") or not, and which of three classes (always the second)."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["pictures"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Gemm", ["mean", "slopes"], ["logits"]),
        helper.make_node("Gemm", ["mean", "nothing", "levels"], ["kinds"]),
    ]
    answer = "logits"
    if activated:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
        nodes.append(helper.make_node("Softmax", ["kinds"], ["kind scores"], axis=1))
        answer = "scores"
    slopes = np.repeat([[-4.0, 4.0]], channels, 0) / channels
    names = {answer: (batch, 2), "kind scores" if activated else "kinds": (batch, 3)}
    return _model(nodes, names, channels, batch, slopes=slopes, nothing=np.zeros((channels, 3)),
                  levels=np.array([[0.0, 3.0, 0.0]]))  # fmt: skip


def segmenter(*, activated: bool = False) -> onnx.ModelProto:
    """What is brighter than the middle is lesion."""
    nodes = [helper.make_node("Mul", ["pictures", "slope"], ["map"])]
    if activated:
        nodes.append(helper.make_node("Sigmoid", ["map"], ["scores"]))
    name = "scores" if activated else "map"
    return _model(nodes, {name: ("n", 1, SIZE, SIZE)}, 1, "n", slope=np.array(9.0))


def detector() -> onnx.ModelProto:
    """The same two boxes in every picture: the first surely, the second hardly."""
    boxes = np.array([[[8.0, 20.0], [16.0, 20.0], [8.0, 4.0], [12.0, 4.0], [0.9, 0.02]]])
    nodes = [
        helper.make_node("ReduceMean", ["pictures"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["naught"]),
        helper.make_node("Unsqueeze", ["naught", "axes"], ["tall"]),
        helper.make_node("Add", ["tall", "boxes"], ["found"]),
    ]
    model = _model(nodes, {"found": ("n", 5, 2)}, 1, "n", zero=np.array(0.0), boxes=boxes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "axes"))
    return model


def write_foreign(
    folder: Path,
    model: onnx.ModelProto,
    task: Task,
    questions: dict[str, tuple[str, ...]],
    *,
    intermediate: bool = False,
    outputs: Outputs | None = None,
    preparation: Preparation | None = None,
) -> Path:
    """A whole package around the model; `intermediate`: as OpenVINO's two files."""
    folder.mkdir(parents=True)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    if intermediate:
        openvino.save_model(openvino.Core().read_model(folder / "model.onnx"), folder / "model.xml", False)
        (folder / "model.onnx").unlink()
    _write_card(folder, task, questions, outputs or Outputs(), preparation or PLAIN)
    return folder


def write_converted(
    folder: Path, model: openvino.Model, questions: dict[str, tuple[str, ...]], preparation: Preparation
) -> Path:
    """A whole package around a classifier that is OpenVINO's already."""
    folder.mkdir(parents=True)
    openvino.save_model(model, folder / "model.xml", False)
    _write_card(folder, Task.CLASSIFICATION, questions, Outputs(), preparation)
    return folder


def _write_card(
    folder: Path, task: Task, questions: dict[str, tuple[str, ...]], outputs: Outputs, preparation: Preparation
) -> None:
    intermediate = (folder / "model.xml").exists()
    file = "model.xml" if intermediate else "model.onnx"
    Card(
        name=folder.name,
        version="1.0.0",
        manufacturer="a customer",
        task=task,
        file=file,
        outputs=outputs,
        questions=questions,
        preparation=preparation,
        operating_point=OperatingPoint(),
        intended_use="tests",
        limitations=("means nothing",),
        training=Training(recipe="none", date="2026-01-01", sources=()),
        metrics={},
        licence="none",
        research_only=True,
        weights_sha256=sha256_of(folder / file),
        further_sha256={"model.bin": sha256_of(folder / "model.bin")} if intermediate else {},
    ).save(folder)
