"""Model packages with weights that mean nothing, and volumes to ask them about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from inference.architectures import build
from inference.cards import WEIGHTS_FILE, Card, OperatingPoint, Preparation, Training
from inference.findings import Task
from inference.registry import sha256_of
from inference.volume import FrameReference, Volume
from inference.weights_file import save_weights

QUESTIONS = {"modality": ("ct", "mr"), "region": ("brain", "knee", "hand")}
TUMOUR = {"tumour": ("tumour",)}


def write_package(
    folder: Path,
    task: Task = Task.CLASSIFICATION,
    *,
    architecture: str | None = None,
    questions: dict[str, tuple[str, ...]] | None = None,
    operating_point: OperatingPoint | None = None,
    planes: tuple[str, ...] = (),
) -> Path:
    """A whole package of small input and random weights, the same each time."""
    architecture = architecture or ("resnet50" if task is Task.CLASSIFICATION else "res50-unet")
    questions = questions or (QUESTIONS if task is Task.CLASSIFICATION else TUMOUR)
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    save_weights(build(architecture, questions).state_dict(), folder / WEIGHTS_FILE)
    Card(
        name=folder.name,
        version="1.0.0",
        manufacturer="tests",
        task=task,
        architecture=architecture,
        questions=questions,
        preparation=Preparation(size=64, use_window=True),
        operating_point=operating_point or OperatingPoint(),
        planes=planes,
        intended_use="tests",
        limitations=("means nothing",),
        training=Training(recipe="none", date="2026-01-01", sources=()),
        metrics={},
        licence="none",
        research_only=True,
        weights_sha256=sha256_of(folder / WEIGHTS_FILE),
    ).save(folder)
    return folder


def volume_of(
    pixels: ArrayLike,
    *,
    spacing: tuple[float, float, float] | None = (4.0, 1.0, 1.0),
    directions: tuple[tuple[float, float, float], ...] = ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
) -> Volume:
    """A volume with these pixels; `spacing` and `directions` along (slice, row, column), spacing None: no geometry."""
    array = np.asarray(pixels, np.float32)
    affine = None
    if spacing is not None:
        affine = np.eye(4)
        for axis in range(3):
            affine[:3, axis] = np.array(directions[axis], float) * spacing[axis]
    return Volume(
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        pixels=array,
        frames=tuple(FrameReference("1.2.840.10008.5.1.4.1.1.4", f"1.2.3.4.{n}") for n in range(array.shape[0])),
        affine=affine,
        pixel_spacing_mm=None if spacing is None else spacing[1:],
        slice_spacing_mm=None if spacing is None else spacing[0],
    )
