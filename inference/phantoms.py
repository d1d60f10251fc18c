"""Pictures with known truth, drawn from geometry and chance: for the demo, for tests, and mixed into training.

They are no anatomy. Each generator takes a numpy Generator, so the same seed draws the same picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """`pixels` float32 (slice, row, column) or (slice, row, column, RGB), 0..255 but for CT, which is in HU;
    `lesion` bool (slice, row, column), None where the phantom has no such thing."""

    pixels: Array
    lesion: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Centre and half axes as fractions of the half field of view, axes (slice, row, column)."""

    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]


def _grid(shape: tuple[int, int, int]) -> tuple[Array, Array, Array]:
    """Coordinates -1..1 of pixel centres along (slice, row, column), ready to broadcast."""
    axes = [(np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1 for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return z.astype(np.float32), y.astype(np.float32), x.astype(np.float32)


def _inside(grid: tuple[Array, Array, Array], solid: Ellipsoid) -> NDArray[np.bool_]:
    """The voxels within an ellipsoid."""
    squares = [((axis - c) / h) ** 2 for axis, c, h in zip(grid, solid.centre, solid.half_axes, strict=True)]
    return np.asarray(squares[0] + squares[1] + squares[2] <= 1)


def _capsule(
    y: Array, x: Array, ends: tuple[tuple[float, float], tuple[float, float]], radius: float
) -> NDArray[np.bool_]:
    """The pixels within `radius` of the line from ends[0] to ends[1], each (row, column)."""
    (y0, x0), (y1, x1) = ends
    dy, dx = y1 - y0, x1 - x0
    along = np.clip(((y - y0) * dy + (x - x0) * dx) / max(dy * dy + dx * dx, 1e-9), 0, 1)
    return np.asarray((y - y0 - along * dy) ** 2 + (x - x0 - along * dx) ** 2 <= radius * radius)


def _finish(rng: np.random.Generator, pixels: Array, *, blur: float, noise: float) -> Array:
    """Soft edges, a slow change of brightness over the field, and noise; clipped to 0..255."""
    soft = gaussian_filter(pixels, (0, blur, blur))
    slow = gaussian_filter(rng.standard_normal(pixels.shape[1:]).astype(np.float32), pixels.shape[1] / 4)
    field = 1 + 0.15 * slow / max(float(np.abs(slow).max()), 1e-6)
    noisy = soft * field + rng.normal(0, noise, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.float32)


def random_lesion(rng: np.random.Generator) -> Ellipsoid:
    """A lesion somewhere in one half of the brain."""
    side = rng.choice((-1.0, 1.0))
    centre = (rng.uniform(-0.35, 0.35), rng.uniform(-0.35, 0.35), side * rng.uniform(0.22, 0.38))
    return Ellipsoid(centre, (rng.uniform(0.2, 0.45), rng.uniform(0.08, 0.2), rng.uniform(0.08, 0.2)))


def brain_mr(
    rng: np.random.Generator, shape: tuple[int, int, int] = (24, 256, 256), lesion: Ellipsoid | None = None
) -> Phantom:
    """Axial FLAIR-like head: scalp, dark skull, folded cortex, dark ventricles, and a bright lesion if asked for."""
    grid = _grid(shape)
    z, y, x = grid
    wide, long = rng.uniform(0.58, 0.7), rng.uniform(0.72, 0.85)
    head = _inside(grid, Ellipsoid((0, 0, 0), (1.15, long + 0.1, wide + 0.1)))
    skull = _inside(grid, Ellipsoid((0, 0, 0), (1.12, long + 0.055, wide + 0.055)))
    brain = _inside(grid, Ellipsoid((0, 0, 0), (1.1, long, wide)))
    folds = np.sin(9 * np.arctan2(y, x) + 6 * z + rng.uniform(0, 6)) + np.sin(23 * x + 17 * y + 5 * z)
    depth = np.sqrt((y / long) ** 2 + (x / wide) ** 2)
    white, grey = rng.uniform(85, 110), rng.uniform(115, 140)
    pixels = np.zeros(shape, np.float32)
    pixels[head] = rng.uniform(120, 190)
    pixels[skull] = rng.uniform(5, 25)
    pixels[brain] = white
    pixels[brain & (depth + 0.06 * folds > 0.82)] = grey
    pixels[brain & (np.abs(x) < 0.012)] = 40
    for side in (-1, 1):
        pixels[_inside(grid, Ellipsoid((0.1, -0.08, side * 0.11), (0.5, 0.24, 0.06)))] = rng.uniform(15, 35)
    mask = np.zeros(shape, np.bool_)
    if lesion is not None:
        mask = _inside(grid, lesion) & brain
        pixels[mask] = rng.uniform(205, 240)
    return Phantom(_finish(rng, pixels, blur=0.8 * shape[1] / 256, noise=rng.uniform(2, 6)), mask)


def knee_mr(rng: np.random.Generator, shape: tuple[int, int, int] = (16, 256, 256)) -> Phantom:
    """Sagittal PD-like knee: femur above tibia with bright marrow and dark cortex, patella in front, muscle behind."""
    z, y, x = _grid(shape)
    shift, marrow, muscle = rng.uniform(-0.1, 0.1), rng.uniform(150, 210), rng.uniform(60, 95)
    pixels = np.zeros(shape, np.float32)
    leg = np.abs(x - shift) < 0.72 - 0.08 * np.cos(3 * y) + 0 * z
    pixels[leg] = rng.uniform(120, 200)
    pixels[np.abs(x - shift) < 0.6 + 0 * y + 0 * z] = muscle
    bones: tuple[tuple[tuple[tuple[float, float], tuple[float, float]], float], ...] = (
        (((-1.2, shift + 0.02), (-0.25, shift + 0.02)), 0.24),
        (((-0.2, shift - 0.1), (-0.2, shift + 0.18)), 0.24),
        (((0.3, shift - 0.16), (0.3, shift + 0.16)), 0.2),
        (((0.3, shift), (1.2, shift + 0.05)), 0.21),
        (((-0.32, shift - 0.48), (-0.1, shift - 0.47)), 0.09),
    )
    outside = np.broadcast_to(np.abs(z) > 0.9, shape)
    for ends, radius in bones:
        pixels[_capsule(y, x, ends, radius + 0.03) & ~outside] = 20
    for ends, radius in bones:
        pixels[_capsule(y, x, ends, radius) & ~outside] = marrow
    for row in (0.045, 0.085):
        pixels[_capsule(y, x, ((row, shift - 0.25), (row, shift + 0.25)), 0.015) & ~outside] = rng.uniform(200, 250)
    return Phantom(_finish(rng, pixels, blur=1.0 * shape[1] / 256, noise=rng.uniform(3, 8)))


def hand_radiograph(rng: np.random.Generator, shape: tuple[int, int] = (320, 256)) -> Phantom:
    """A hand from the palm: five rays of bones in soft tissue, carpal bones, two forearm bones; bones bright."""
    full = (1, *shape)
    _, y, x = _grid(full)
    tissue, bone = rng.uniform(45, 75), rng.uniform(150, 215)
    soft = np.zeros(full, np.bool_)
    bones = np.zeros(full, np.bool_)
    gaps = np.zeros(full, np.bool_)
    spread = rng.uniform(0.8, 1.15)
    for angle, length in ((-0.75, 0.85), (-0.28, 1.25), (-0.04, 1.35), (0.2, 1.25), (0.45, 1.05)):
        direction = (-np.cos(angle * spread), np.sin(angle * spread))
        start = (0.4, 0.28 * angle)
        at = [
            tuple(s + t * length * d for s, d in zip(start, direction, strict=True)) for t in (0, 0.38, 0.62, 0.8, 0.95)
        ]
        soft |= _capsule(y, x, (at[0], at[4]), 0.12)
        for near, far in pairwise(at):
            bones |= _capsule(y, x, (near, far), 0.042)
            gaps |= _capsule(y, x, (far, far), 0.02)
    soft |= _capsule(y, x, ((0.1, 0.0), (0.4, 0.0)), 0.38) | _capsule(y, x, ((0.4, 0.0), (1.2, 0.0)), 0.27)
    for row, column in ((0.47, -0.12), (0.45, 0.0), (0.47, 0.12), (0.58, -0.1), (0.57, 0.02), (0.58, 0.13)):
        bones |= _capsule(y, x, ((row, column), (row + 0.01, column)), 0.055)
    bones |= _capsule(y, x, ((0.72, -0.1), (1.2, -0.12)), 0.09) | _capsule(y, x, ((0.74, 0.12), (1.2, 0.13)), 0.07)
    pixels = np.full(full, rng.uniform(3, 18), np.float32)
    pixels[soft] = tissue
    pixels[bones & ~gaps] = bone
    return Phantom(_finish(rng, pixels, blur=1.2, noise=rng.uniform(2, 5)))


def abdomen_ct(rng: np.random.Generator, shape: tuple[int, int, int] = (12, 256, 256)) -> Phantom:
    """Axial abdomen in HU: fat, muscle, liver, spleen, kidneys, spine, aorta, gas in the bowel, a table below."""
    grid = _grid(shape)
    _, y, x = grid

    def solid(row: float, column: float, tall: float, wide: float) -> NDArray[np.bool_]:
        return _inside(grid, Ellipsoid((0, row, column), (4, tall, wide)))

    pixels = np.full(shape, -1000, np.float32)
    girth = rng.uniform(0.9, 1.1)
    pixels[solid(0, 0, 0.62 * girth, 0.85 * girth)] = -100
    pixels[solid(0, 0, 0.55 * girth, 0.76 * girth)] = 55
    pixels[solid(0, 0, 0.5 * girth, 0.7 * girth)] = -90
    parts = (
        (solid(-0.08, -0.36, 0.34, 0.3), rng.uniform(60, 110)),
        (solid(0.0, 0.5, 0.2, 0.13), rng.uniform(60, 120)),
        (solid(0.2, -0.28, 0.12, 0.09), rng.uniform(100, 180)),
        (solid(0.2, 0.28, 0.12, 0.09), rng.uniform(100, 180)),
        (solid(0.14, 0.03, 0.055, 0.055), rng.uniform(120, 220)),
        (solid(0.31, 0.0, 0.11, 0.12), rng.uniform(250, 450)),
        (solid(0.42, 0.0, 0.05, 0.05), 500.0),
        (solid(-0.25, 0.2, 0.1, 0.16), rng.uniform(0, 40)),
        (solid(-0.3, 0.18, 0.05, 0.1), -900.0),
    )
    for where, value in parts:
        pixels[where] = value
    pixels[np.broadcast_to((np.abs(y - 0.78 - 0.1 * x * x) < 0.02) & (np.abs(x) < 0.8), shape)] = 100
    soft = gaussian_filter(pixels, (0, 0.9, 0.9))
    return Phantom((soft + rng.normal(0, rng.uniform(8, 20), shape)).astype(np.float32))


def colour_ultrasound(rng: np.random.Generator, shape: tuple[int, int] = (240, 320)) -> Phantom:
    """A sector of speckle with layers and a dark cyst; a Doppler patch and a scale bar in colour."""
    rows, columns = shape
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    apex = (-0.15 * rows, columns / 2)
    radius = np.hypot(row - apex[0], column - apex[1]) / rows
    angle = np.arctan2(column - apex[1], row - apex[0])
    sector = (np.abs(angle) < rng.uniform(0.5, 0.75)) & (radius > 0.22) & (radius < 1.1)
    speckle = np.abs(gaussian_filter(rng.standard_normal(shape), (0.8, 1.6)))
    layers = 1 + 0.5 * np.sin(rng.uniform(14, 26) * radius + rng.uniform(0, 6))
    grey = 200 * speckle / float(speckle.max()) * layers * np.exp(-0.6 * (radius - 0.2)) + 12
    cyst = (row - rows * rng.uniform(0.4, 0.6)) ** 2 + (column - columns * rng.uniform(0.42, 0.58)) ** 2
    grey[cyst < (rows * rng.uniform(0.06, 0.13)) ** 2] *= 0.1
    grey[~sector] = 0
    rgb = np.repeat(grey[..., None], 3, axis=2)
    flow = ((row - rows * 0.55) ** 2 / 400 + (column - columns * 0.6) ** 2 / 700 < 1) & sector
    red, blue = rng.uniform(120, 255), rng.uniform(0, 255)
    rgb[flow] = 0.4 * rgb[flow] + np.array([red, 20.0, blue]) * 0.6
    bar = slice(int(columns * 0.96), int(columns * 0.99))
    rgb[rows // 5 : rows // 2, bar, 0] = np.linspace(255, 0, rows // 2 - rows // 5)[:, None]
    rgb[rows // 5 : rows // 2, bar, 2] = np.linspace(0, 255, rows // 2 - rows // 5)[:, None]
    return Phantom(np.clip(rgb, 0, 255).astype(np.float32)[None])


def photograph(rng: np.random.Generator, shape: tuple[int, int] = (240, 320)) -> Phantom:
    """Skin with a mole and a ruler under uneven light, in colour: no stage of the cascade is made for it."""
    rows, columns = shape
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    light = 0.75 + 0.25 * np.cos((row - rows * rng.uniform(0, 1)) / rows) * np.cos(
        (column - columns * rng.uniform(0, 1)) / columns
    )
    texture = gaussian_filter(rng.standard_normal(shape), 1.2)
    skin = np.array([rng.uniform(180, 235), rng.uniform(130, 180), rng.uniform(100, 150)])
    rgb = skin * (light + 0.15 * texture)[..., None]
    wobble = 1 + 0.15 * np.sin(5 * np.arctan2(row - rows / 2, column - columns / 2) + rng.uniform(0, 6))
    mole = np.hypot(row - rows * rng.uniform(0.4, 0.6), column - columns * rng.uniform(0.4, 0.6)) < rows * 0.14 * wobble
    rgb[mole] *= np.array([0.4, 0.35, 0.35])
    ruler = slice(int(rows * 0.85), int(rows * 0.95))
    rgb[ruler] = 235
    rgb[ruler, :: max(columns // 40, 2)] = 30
    return Phantom(np.clip(rgb, 0, 255).astype(np.float32)[None])


def noise_or_pattern(rng: np.random.Generator, shape: tuple[int, int] = (256, 256)) -> Phantom:
    """What a broken detector or a wrong file could look like: noise, a ramp, stripes, a chessboard, blobs, nothing."""
    rows, columns = shape
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    pitch = float(rng.integers(8, 64))
    drawings: tuple[Callable[[], NDArray[np.floating]], ...] = (
        lambda: rng.uniform(0, 255, shape),
        lambda: gaussian_filter(rng.standard_normal(shape), rng.uniform(1, 25)),
        lambda: row * rng.uniform(-1, 1) + column * rng.uniform(-1, 1),
        lambda: np.sin((row * rng.uniform(-1, 1) + column * rng.uniform(-1, 1)) / pitch * 6),
        lambda: ((row // pitch + column // pitch) % 2) + rng.normal(0, 0.05, shape),
        lambda: (gaussian_filter(rng.standard_normal(shape), pitch / 4) > 0).astype(np.float32),
        lambda: np.full(shape, rng.uniform(0, 1)) + rng.normal(0, 0.01, shape),
    )
    drawn = drawings[int(rng.integers(len(drawings)))]()
    low, high = float(drawn.min()), float(drawn.max())
    return Phantom(((drawn - low) / max(high - low, 1e-6) * 255).astype(np.float32)[None])
