"""Draws what a viewer would: an image, the mask of its segmentation, the outline of its presentation state; for PNGs.

Everything is read from the DICOM objects themselves, as they came back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, SegmentationStorage

_PANEL = 300
_CAPTION = 34
_GAP = 6
_BACKGROUND = (16, 16, 20)
_TEXT = (235, 235, 235)
_OUTLINE = (255, 190, 0)


def draw_study(instances: Sequence[Path], results: Sequence[Path], caption: str) -> Image.Image:
    """Image, mask and overlay side by side: of the slice with most mask, or the middle one where nothing is outlined.

    `instances` are single-frame images of one study, `results` what came back for it.
    """
    images = [dcmread(path) for path in instances]
    objects = [dcmread(path) for path in results]
    masks = _masks(images, [each for each in objects if each.SOPClassUID == SegmentationStorage])
    areas = [int(mask.sum()) for mask in masks]
    chosen = int(np.argmax(areas)) if any(areas) else len(images) // 2
    grey = _as_panel(_as_shown(images[chosen]))
    mask = _as_panel(Image.fromarray(masks[chosen].astype(np.uint8) * 255).convert("RGB"))
    states = [each for each in objects if each.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage]
    overlay = _with_outlines(grey, images[chosen], states)
    return _side_by_side([grey, mask, overlay], caption)


def _as_shown(image: Dataset) -> Image.Image:
    """The image through its rescale and window, as RGB; from darkest to brightest where it has no window."""
    if image.SamplesPerPixel == 3:
        return Image.fromarray(image.pixel_array)
    windowed = "WindowWidth" in image
    values = hd.Image.from_dataset(image).get_frame(
        1, dtype=np.float64, apply_voi_transform=windowed, voi_output_range=(0.0, 255.0)
    )
    low, high = (0.0, 255.0) if windowed else (float(values.min()), float(values.max()))
    unit = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return Image.fromarray((unit * 255).astype(np.uint8)).convert("RGB")


def _masks(images: Sequence[Dataset], segmentations: Sequence[Dataset]) -> list[NDArray[np.bool_]]:
    """One mask per image: every segment of every segmentation that refers to it."""
    masks = [np.zeros((image.Rows, image.Columns), np.bool_) for image in images]
    uids = [str(image.SOPInstanceUID) for image in images]
    for dataset in segmentations:
        segmentation = hd.seg.Segmentation.from_dataset(dataset, copy=False)
        frames = segmentation.get_pixels_by_source_instance(
            uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
        masks = [mask | frame.any(axis=-1) for mask, frame in zip(masks, frames, strict=True)]
    return masks


def _as_panel(picture: Image.Image) -> Image.Image:
    scale = _PANEL / max(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _with_outlines(panel: Image.Image, image: Dataset, states: Sequence[Dataset]) -> Image.Image:
    """The panel of an image with the polylines the presentation states put on it (PS3.3 C.10.5).

    They are drawn at the panel's size, so that they are as thin on a small image and as visible on a large one.
    """
    drawn = panel.copy()
    scale = panel.width / image.Columns
    pen = ImageDraw.Draw(drawn)
    for state in states:
        for annotation in state.get("GraphicAnnotationSequence", []):
            uids = [item.ReferencedSOPInstanceUID for item in annotation.get("ReferencedImageSequence", [])]
            if image.SOPInstanceUID not in uids:
                continue
            for graphic in annotation.get("GraphicObjectSequence", []):
                if graphic.GraphicType == "POLYLINE":
                    # 0,0 is the outer corner of the first pixel in the standard (C.10.5.1.2), its centre in PIL
                    values = [round(float(value) * scale - 0.5) for value in graphic.GraphicData]
                    pen.line(list(zip(values[::2], values[1::2], strict=True)), fill=_OUTLINE, width=2)
    return drawn


def _side_by_side(panels: Sequence[Image.Image], caption: str) -> Image.Image:
    width, height = panels[0].size
    sheet = Image.new("RGB", (len(panels) * (width + _GAP) + _GAP, height + _CAPTION + _GAP), _BACKGROUND)
    for number, panel in enumerate(panels):
        sheet.paste(panel, (_GAP + number * (width + _GAP), _GAP))
    pen = ImageDraw.Draw(sheet)
    for number, name in enumerate(("image", "segmentation", "presentation state")):
        pen.text((_GAP + number * (width + _GAP) + 4, _GAP + 2), name, fill=_TEXT)
    pen.text((_GAP + 4, height + _GAP + 6), f"{caption} | research use only", fill=_TEXT)
    return sheet
