"""Random changes to training pictures, on whole batches; masks follow their pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inference.training.recipe import Augmentation

#: A box of which less than this is within the square is no example of anything.
_LEAST_LEFT = 0.4


def _uniform(n: int, reach: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * reach


def draw_views(n: int, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """(n, 2, 3) random affine maps (x, y) from output to input coordinates, both -1..1 over the square."""
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
    views = draw_views(len(pictures), recipe, generator)
    pictures = change(pictures, views, recipe, generator)
    if masks is None:
        return pictures, None
    return pictures, (_resample(masks, _grid(views, masks)) > 0.5).float()


def change(pictures: Tensor, views: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """(n, 1, size, size) pictures 0..1 seen through `views`, and changed in brightness, contrast and sharpness."""
    n = len(pictures)
    pictures = _soften(_resample(pictures, _grid(views, pictures)), recipe, generator)
    gamma = torch.exp(_uniform(n, recipe.gamma, generator)).view(n, 1, 1, 1)
    contrast = 1 + _uniform(n, recipe.contrast, generator).view(n, 1, 1, 1)
    brightness = _uniform(n, recipe.brightness, generator).view(n, 1, 1, 1)
    pictures = pictures.clamp(0, 1) ** gamma
    pictures = (pictures - 0.5) * contrast + 0.5 + brightness
    pictures = pictures + torch.randn(pictures.shape, generator=generator) * recipe.noise
    return pictures.clamp(0, 1)


def move_boxes(boxes: Tensor, view: Tensor) -> Tensor:
    """(n, 4) boxes left, top, right, bottom, 0..1 over the square, as seen through one view (2, 3): the boxes around
    where their corners went, cut at the edge; boxes of which little is left are gone."""
    if not len(boxes):
        return boxes
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].view(-1, 4, 2) * 2 - 1
    seen = (corners - view[:, 2]) @ torch.linalg.inv(view[:, :2]).T
    around = (torch.cat([seen.amin(1), seen.amax(1)], 1) + 1) / 2
    cut = around.clamp(0, 1)
    left = (cut[:, 2:] - cut[:, :2]).prod(1) / (around[:, 2:] - around[:, :2]).prod(1).clamp(min=1e-9)
    return cut[left > _LEAST_LEFT]


def _grid(views: Tensor, pictures: Tensor) -> Tensor:
    return functional.affine_grid(views, list(pictures.shape), align_corners=False)
