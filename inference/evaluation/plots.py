"""Curves of an evaluation as SVG, and pictures of what went wrong as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from monai.metrics.calibration import calibration_binning
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torchmetrics.functional.classification import binary_roc

from inference.evaluation.figures import Picture
from inference.findings import Region

_BINS = 15
_SIDE = 3.2
_THUMBNAIL = 192
_TRUTH, _ANSWER = (0, 220, 120), (255, 140, 0)


def reliability(title: str, scores: torch.Tensor, labels: torch.Tensor) -> Picture:
    """How often an answer was right against how sure it was, from scores (n, classes) and labels (n)."""
    best, answer = scores.max(1)
    sure, right, counts = calibration_binning(
        best.view(1, 1, -1).float(), (answer == labels).view(1, 1, -1).float(), num_bins=_BINS
    )
    some = counts[0, 0] > 0
    figure, axes = _axes(title, "score", "part that was right")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(sure[0, 0][some], right[0, 0][some], marker="o")
    return _svg(figure, title)


def roc(title: str, classes: Sequence[str], scores: torch.Tensor, labels: torch.Tensor) -> Picture:
    """A curve for each class that there are examples of, and of the others."""
    figure, axes = _axes(title, "1 - specificity", "sensitivity")
    for number, name in enumerate(classes):
        is_class = labels == number
        if is_class.any() and not is_class.all():
            false, true, _ = binary_roc(scores[:, number], is_class.long())
            axes.plot(false, true, label=name)
    if axes.lines:
        axes.legend(fontsize="x-small")
    return _svg(figure, title)


def free_response(title: str, in_vain: NDArray[np.float64], sensitivity: NDArray[np.float64]) -> Picture:
    """FROC: sensitivity against boxes in vain per picture, from 1/8 to 8."""
    figure, axes = _axes(title, "boxes in vain per picture", "sensitivity")
    axes.plot(in_vain, sensitivity)
    axes.set_xscale("log", base=2)
    axes.set(xlim=(1 / 8, 8))
    return _svg(figure, title)


def small(pixels: NDArray[np.float32]) -> Image.Image:
    """A picture (row, column[, RGB]) of any range, so small that those of a whole data set can be kept."""
    low, high = float(pixels.min()), float(pixels.max())
    unit = (pixels - low) / max(high - low, 1e-6)
    picture = Image.fromarray((unit * 255).astype(np.uint8)).convert("RGB")
    scale = _THUMBNAIL / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def thumbnail(picture: Image.Image, caption: str) -> Picture:
    """A small picture as it is."""
    return _png(picture, caption)


def with_outlines(picture: Image.Image, truth: NDArray[np.bool_], answer: NDArray[np.bool_], caption: str) -> Picture:
    """A small slice with the border of the truth in green and that of the answer in orange; masks (row, column) of
    any size."""
    colours = np.array(picture)
    for mask, colour in ((truth, _TRUTH), (answer, _ANSWER)):
        inside = np.pad(np.array(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST)), 1)
        eroded = inside[1:-1, :-2] & inside[1:-1, 2:] & inside[:-2, 1:-1] & inside[2:, 1:-1]
        colours[inside[1:-1, 1:-1] & ~eroded] = colour
    return _png(Image.fromarray(colours), caption)


def with_boxes(picture: Image.Image, truths: NDArray[np.float64], answers: Sequence[Region], caption: str) -> Picture:
    """A small picture with truths (n, 4) in green and answers in orange, both in parts of the picture."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    size = np.array(drawn.size * 2)
    for corners in truths:
        pen.rectangle([float(value) for value in corners * size], outline=_TRUTH)
    for box in answers:
        corners = np.array([box.left, box.top, box.right, box.bottom]) * size
        pen.rectangle([float(value) for value in corners], outline=_ANSWER)
    return _png(drawn, caption)


def _axes(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_SIDE, _SIDE), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up, xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title, fontsize="small")
    return figure, axes


def _svg(figure: Figure, caption: str) -> Picture:
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return Picture(file.getvalue(), caption, "svg")


def _png(picture: Image.Image, caption: str) -> Picture:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return Picture(file.getvalue(), caption)
