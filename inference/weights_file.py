"""Weights on disk: safetensors, matrices as int8 with one scale per output channel, everything else float32.

A quarter of float32's size, so that packages fit a repository; computing stays in float32 or bfloat16.
Nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_SCALE = ".int8_scale"


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write a network's state."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2:
            stored[name] = tensor.detach().contiguous().cpu()
            continue
        values = tensor.detach().float().cpu()
        scale = values.abs().flatten(1).amax(1).clamp(min=1e-12) / 127
        per_channel = scale.view(-1, *([1] * (values.ndim - 1)))
        stored[name] = (values / per_channel).round().clamp(-127, 127).to(torch.int8).contiguous()
        stored[name + _SCALE] = scale
    save_file(stored, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote, as float32 (integers that are no weights stay integers)."""
    stored = load_file(path)
    state: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(_SCALE):
            continue
        scale = stored.get(name + _SCALE)
        state[name] = tensor if scale is None else tensor.float() * scale.view(-1, *([1] * (tensor.ndim - 1)))
    return state
