"""Random changes to training pictures, on whole batches; masks follow their pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inference.training.recipe import Augmentation


def _uniform(n: int, reach: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * reach


def _placements(n: int, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """(n, 2, 3) affine maps from output to input coordinates, -1..1."""
    angle = torch.deg2rad(_uniform(n, recipe.rotate_degrees, generator))
    turned = torch.rand(n, generator=generator) < recipe.quarter_turns
    angle = angle + turned * torch.randint(0, 4, (n,), generator=generator) * (torch.pi / 2)
    scale = 1 + _uniform(n, recipe.scale, generator)
    mirror = torch.where(torch.rand(n, generator=generator) < recipe.flip, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = torch.stack([_uniform(n, recipe.shift, generator), _uniform(n, recipe.shift, generator)], 1)
    rows = torch.stack([cosine * mirror, -sine, sine * mirror, cosine], 1).view(n, 2, 2)
    return torch.cat([rows, shift[:, :, None]], 2)


def _resample(pictures: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _soften(pictures: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """Some pictures lose detail, so that sharpness does not tell one source from another."""
    chosen = torch.rand(len(pictures), generator=generator) < recipe.blur
    if not chosen.any():
        return pictures
    size = pictures.shape[-1]
    smaller = int(size * (0.35 + 0.4 * float(torch.rand((), generator=generator))))
    soft = functional.interpolate(
        pictures[chosen], (smaller, smaller), mode="bilinear", align_corners=False, antialias=True
    )
    pictures = pictures.clone()
    pictures[chosen] = functional.interpolate(soft, (size, size), mode="bilinear", align_corners=False)
    return pictures


def augment(
    pictures: Tensor, masks: Tensor | None, recipe: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """(n, 1, size, size) pictures 0..1 and, if given, masks of the same shape, changed at random."""
    n = len(pictures)
    grid = functional.affine_grid(_placements(n, recipe, generator), list(pictures.shape), align_corners=False)
    pictures = _soften(_resample(pictures, grid), recipe, generator)
    gamma = torch.exp(_uniform(n, recipe.gamma, generator)).view(n, 1, 1, 1)
    contrast = 1 + _uniform(n, recipe.contrast, generator).view(n, 1, 1, 1)
    brightness = _uniform(n, recipe.brightness, generator).view(n, 1, 1, 1)
    pictures = pictures.clamp(0, 1) ** gamma
    pictures = (pictures - 0.5) * contrast + 0.5 + brightness
    pictures = pictures + torch.randn(pictures.shape, generator=generator) * recipe.noise
    pictures = pictures.clamp(0, 1)
    if masks is None:
        return pictures, None
    return pictures, (_resample(masks, grid) > 0.5).float()
