"""Heat maps as PNG files: the slice as it is, and with the map over it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.cards import Preparation
from inference.findings import HeatMap, VolumeAnalysis
from inference.transforms import to_unit

_PANEL = 400
_CAPTION = 18
_TEXT = (235, 235, 235)
_COLOURS = "inferno"
#: How much of the colour shows where the map is 1.
_OPACITY = 0.6
_SHOWN = Preparation(size=_PANEL, use_window=True)


def save_heat_maps(volume: VolumeAnalysis, number: int, folder: Path) -> tuple[Path, ...]:
    """One file for each heat map with values, volume-`number`-<stage>.png."""
    saved = []
    for heat in volume.heat_maps:
        if heat.values is not None:
            saved.append(folder / f"volume-{number}-{re.sub('[^a-z0-9]+', '-', heat.stage.lower())}.png")
            grey = to_unit(volume.volume.pixels[[heat.slice_index]], volume.volume.window, _SHOWN)[0]
            draw(grey, heat, heat.values).save(saved[-1])
    return tuple(saved)


def draw(grey: NDArray[np.float32], heat: HeatMap, values: NDArray[np.float32]) -> Image.Image:
    """Grey 0..1 (row, column) beside itself with the map (row, column) over it, with what it explains below."""
    plain = np.repeat(grey[..., None], 3, 2)
    colours = colormaps[_COLOURS](values)[..., :3]
    weight = _OPACITY * values[..., None]
    panels = [_panel(plain), _panel(plain * (1 - weight) + colours * weight)]
    width, height = panels[0].size
    sheet = Image.new("RGB", (2 * width, height + _CAPTION))
    for index, panel in enumerate(panels):
        sheet.paste(panel, (index * width, 0))
    told = f"{heat.stage}: {heat.label}, slice {heat.slice_index + 1}, {heat.method} | research use only"
    ImageDraw.Draw(sheet).text((4, height + 3), told, fill=_TEXT)
    return sheet


def _panel(colours: NDArray[np.floating]) -> Image.Image:
    picture = Image.fromarray((colours.clip(0, 1) * 255).astype(np.uint8))
    scale = _PANEL / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)
