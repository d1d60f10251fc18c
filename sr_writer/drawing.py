"""A volume's slices as a reader sees them, and what is drawn on them; arrays and pictures, no DICOM objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.volume import Volume
from sr_writer.colour import Colour
from sr_writer.outlines import Outline

_BACKGROUND = (16, 16, 20)
_TEXT = (235, 235, 235)
_MARGIN = 10
_FONT_SIZE = 18
_LINE_HEIGHT = 24
#: A legend's square, left of its line.
_SWATCH = 14
#: Matplotlib's name of the colours of a heat map, and how much of them shows where the map is 1.
_HEAT = "inferno"
_OPACITY = 0.6
#: Without a window a slice is shown from and to these percentiles, so that a few odd pixels do not make it dark.
_DARKEST, _BRIGHTEST = 0.5, 99.5


def displayed(volume: Volume, slice_index: int) -> NDArray[np.uint8]:
    """One slice (row, column, RGB) through the volume's window."""
    pixels = volume.pixels[slice_index]
    if volume.is_colour:
        colours: NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
        return colours
    if volume.window is None:
        low, high = (float(value) for value in np.percentile(pixels, (_DARKEST, _BRIGHTEST)))
    else:
        low, high = volume.window.lower, volume.window.upper
    grey = ((pixels - low) / max(high - low, 1e-6)).clip(0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def with_heat(colours: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture (row, column, RGB) with a map 0..1 (row, column) over it, the more opaque the higher."""
    heat = colormaps[_HEAT](values)[..., :3] * 255
    weight = _OPACITY * values[..., None]
    mixed: NDArray[np.uint8] = (colours * (1 - weight) + heat * weight).clip(0, 255).astype(np.uint8)
    return mixed


def enlarged(colours: NDArray[np.uint8], spacing_mm: tuple[float, float] | None, longest: int) -> Image.Image:
    """A picture (row, column, RGB) whose longer side is `longest` pixels, with the shape it has in the patient.

    `spacing_mm` is the distance between rows and between columns; without it pixels are square.
    """
    rows, columns = colours.shape[:2]
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    height, width = rows * row_mm, columns * column_mm
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def draw_outline(
    picture: Image.Image, outline: Outline, shape: tuple[int, int], colour: Colour, width: int = 2
) -> None:
    """Draw onto the enlarged picture of a slice of `shape` (rows, columns)."""
    scale = np.array([picture.width / shape[1], picture.height / shape[0]])
    # 0,0 is the outer corner of the first pixel in the standard (C.10.5.1.2), its centre in Pillow
    points = outline.points * scale - 0.5
    ImageDraw.Draw(picture).line([(float(x), float(y)) for x, y in points], fill=colour, width=width)


def captioned(picture: Image.Image, title: str, lines: Sequence[tuple[str, Colour | None]]) -> NDArray[np.uint8]:
    """The picture between a title and lines of text (row, column, RGB), a line's colour as a square before it."""
    font = ImageFont.load_default(_FONT_SIZE)
    texts = [title, *(text for text, _ in lines)]
    width = max(picture.width, *(int(font.getlength(text)) + 2 * _MARGIN + 2 * _SWATCH for text in texts))
    above, below = _LINE_HEIGHT + _MARGIN, len(lines) * _LINE_HEIGHT + _MARGIN
    sheet = Image.new("RGB", (width, picture.height + above + below), _BACKGROUND)
    sheet.paste(picture, ((width - picture.width) // 2, above))
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN // 2), title, fill=_TEXT, font=font)
    for number, (text, colour) in enumerate(lines):
        left, top = _MARGIN, above + picture.height + _MARGIN // 2 + number * _LINE_HEIGHT
        if colour is not None:
            pen.rectangle((left, top + 4, left + _SWATCH, top + 4 + _SWATCH), fill=colour)
            left += 2 * _SWATCH
        pen.text((left, top), text, fill=_TEXT, font=font)
    return np.asarray(sheet)
