"""Curves of a training, drawn anew after every epoch, so that a browser beside it shows how it goes."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 9.0, 4.0


def draw_curves(history: Path, out: Path) -> None:
    """From the lines of history.jsonl, the loss and every figure between 0 and 1 by epoch, as an SVG file."""
    lines = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    epochs = [line["epoch"] for line in lines]
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [line["loss"] for line in lines])
    left.set(title="loss in training", xlabel="epoch")
    for name in sorted(set(lines[-1]) - {"epoch", "size", "loss", "seconds", "score"}):
        right.plot(epochs, [line.get(name) for line in lines], label=name)
    right.set(title="figures in validation", xlabel="epoch", ylim=(0, 1))
    right.legend(fontsize="small")
    partial = out.with_suffix(".part")
    figure.savefig(partial, format="svg")
    partial.replace(out)
