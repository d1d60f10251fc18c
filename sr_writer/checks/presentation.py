"""Rules for presentation states, grey and colour (PS3.3 C.10.4, C.10.5, C.11.10): what is drawn, where, on what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset

from sr_writer.checks.attributes import Module, is_empty, items, text
from sr_writer.checks.problem import Check, Sources

_GRAPHICS = "GraphicAnnotationSequence/GraphicObjectSequence"
_TEXTS = "GraphicAnnotationSequence/TextObjectSequence"

_IDENTIFICATION = Module(
    "presentation-identification",
    "Presentation State Identification (C.11.10)",
    ("InstanceNumber", "ContentLabel", "PresentationCreationDate", "PresentationCreationTime"),
    ("ContentDescription", "ContentCreatorName"),
)
_RELATIONSHIP = Module(
    "presentation-relationship",
    "Presentation State Relationship (C.11.11)",
    (
        "ReferencedSeriesSequence",
        "ReferencedSeriesSequence/SeriesInstanceUID",
        "ReferencedSeriesSequence/ReferencedImageSequence",
        "ReferencedSeriesSequence/ReferencedImageSequence/ReferencedSOPClassUID",
        "ReferencedSeriesSequence/ReferencedImageSequence/ReferencedSOPInstanceUID",
    ),
)
_AREA = Module(
    "displayed-area",
    "Displayed Area (C.10.4)",
    (
        "DisplayedAreaSelectionSequence",
        "DisplayedAreaSelectionSequence/DisplayedAreaTopLeftHandCorner",
        "DisplayedAreaSelectionSequence/DisplayedAreaBottomRightHandCorner",
        "DisplayedAreaSelectionSequence/PresentationSizeMode",
    ),
)
_ANNOTATION = Module(
    "graphic-annotation",
    "Graphic Annotation (C.10.5)",
    (
        "GraphicAnnotationSequence",
        "GraphicAnnotationSequence/GraphicLayer",
        "GraphicAnnotationSequence/ReferencedImageSequence/ReferencedSOPClassUID",
        "GraphicAnnotationSequence/ReferencedImageSequence/ReferencedSOPInstanceUID",
        f"{_GRAPHICS}/GraphicAnnotationUnits",
        f"{_GRAPHICS}/GraphicDimensions",
        f"{_GRAPHICS}/NumberOfGraphicPoints",
        f"{_GRAPHICS}/GraphicData",
        f"{_GRAPHICS}/GraphicType",
        f"{_GRAPHICS}/GraphicFilled",
        f"{_TEXTS}/UnformattedTextValue",
    ),
)
_LAYERS = Module(
    "graphic-layer",
    "Graphic Layer (C.10.7)",
    ("GraphicLayerSequence/GraphicLayer", "GraphicLayerSequence/GraphicLayerOrder"),
)
_TRACKING = Module(
    "graphic-tracking",
    "the rule that what is drawn names its finding (IHE AIR)",
    (f"{_GRAPHICS}/TrackingID", f"{_GRAPHICS}/TrackingUID"),
)
_COLOUR_PROFILE = Module("icc-profile", "ICC Profile (C.11.15)", ("ICCProfile",))


def _areas(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _AREA.check().find(dataset, sources)
    everything = {text(each, "ReferencedSOPInstanceUID") for each in _referenced(dataset)}
    covered: set[str] = set()
    for area in dataset.get("DisplayedAreaSelectionSequence") or ():
        images = {text(each, "ReferencedSOPInstanceUID") for each in area.get("ReferencedImageSequence") or ()}
        covered |= images or everything
        if is_empty(area, "PresentationPixelSpacing") == is_empty(area, "PresentationPixelAspectRatio"):
            yield "a displayed area has not exactly one of PresentationPixelSpacing and PresentationPixelAspectRatio"
        if not _is_inside(area, images or everything, sources):
            yield "a displayed area is not from 1,1 to Columns,Rows of its images (C.10.4)"
    if covered and not everything <= covered:
        yield "an image is referenced for which no displayed area is selected (C.10.4)"


def _is_inside(area: Dataset, images: set[str], sources: Sources) -> bool:
    if any(is_empty(area, f"DisplayedArea{corner}HandCorner") for corner in ("TopLeft", "BottomRight")):
        return True  # told already
    first, last = list(area.DisplayedAreaTopLeftHandCorner), list(area.DisplayedAreaBottomRightHandCorner)
    if min(first) < 1 or first[0] > last[0] or first[1] > last[1]:
        return False
    known = (sources[uid] for uid in images if uid in sources)
    return all(last[0] <= source.Columns and last[1] <= source.Rows for source in known)


def _referenced(dataset: Dataset) -> list[Dataset]:
    return list(items(dataset, "ReferencedSeriesSequence/ReferencedImageSequence"))


def _layers(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _LAYERS.check().find(dataset, sources)
    known = {text(item, "GraphicLayer") for item in dataset.get("GraphicLayerSequence") or ()}
    used = {text(item, "GraphicLayer") for item in dataset.get("GraphicAnnotationSequence") or ()}
    if not used <= known:
        yield "an annotation names a layer that GraphicLayerSequence does not have; viewers then hide it (C.10.5)"


def _counts(dataset: Dataset, _: Sources) -> Iterator[str]:
    for graphic in items(dataset, _GRAPHICS):
        data = _data(graphic)
        if is_empty(graphic, "NumberOfGraphicPoints") or len(data) != 2 * graphic.NumberOfGraphicPoints:
            yield "NumberOfGraphicPoints is not half the number of values in GraphicData (C.10.5)"
        if text(graphic, "GraphicType") == "POLYLINE" and data[:2] != data[-2:]:
            yield "an outline is open; its last point repeats the first"


def _data(item: Dataset, keyword: str = "GraphicData") -> list[float]:
    value = item.get(keyword)
    return [] if value is None else [float(each) for each in np.atleast_1d(value)]


def _ranges(dataset: Dataset, sources: Sources) -> Iterator[str]:
    for annotation in dataset.get("GraphicAnnotationSequence") or ():
        images = annotation.get("ReferencedImageSequence") or _referenced(dataset)
        size = _smallest(images, dataset, sources)
        for graphic in annotation.get("GraphicObjectSequence") or ():
            if text(graphic, "GraphicAnnotationUnits") == "PIXEL" and _is_outside(_data(graphic), size):
                yield "a graphic reaches out of its image: 0,0 to Columns,Rows (C.10.5)"
        for words in annotation.get("TextObjectSequence") or ():
            corners = _data(words, "BoundingBoxTopLeftHandCorner") + _data(words, "BoundingBoxBottomRightHandCorner")
            if text(words, "BoundingBoxAnnotationUnits") == "PIXEL" and _is_outside(corners, size):
                yield "a text stands outside its image: 0,0 to Columns,Rows (C.10.5)"


def _smallest(images: Sequence[Dataset], dataset: Dataset, sources: Sources) -> tuple[float, float]:
    """(columns, rows) of the smallest image; of the displayed areas where the images are not at hand."""
    known = [sources[uid] for uid in (text(each, "ReferencedSOPInstanceUID") for each in images) if uid in sources]
    sizes = [(float(each.Columns), float(each.Rows)) for each in known]
    if not sizes:
        areas = dataset.get("DisplayedAreaSelectionSequence") or ()
        corners = [_data(each, "DisplayedAreaBottomRightHandCorner") for each in areas]
        sizes = [(each[0], each[1]) for each in corners if len(each) == 2]
    columns, rows = zip(*sizes, strict=True) if sizes else ((np.inf,), (np.inf,))
    return min(columns), min(rows)


def _is_outside(data: Sequence[float], size: tuple[float, float]) -> bool:
    columns, rows = data[::2], data[1::2]
    return bool(data) and (min(data) < 0 or max(columns) > size[0] or max(rows, default=0.0) > size[1])


def _annotated_images(dataset: Dataset, _: Sources) -> Iterator[str]:
    listed = {text(each, "ReferencedSOPInstanceUID") for each in _referenced(dataset)}
    annotated = items(dataset, "GraphicAnnotationSequence/ReferencedImageSequence")
    used = {text(each, "ReferencedSOPInstanceUID") for each in annotated}
    if not used <= listed:
        yield "an annotation stands on an image that ReferencedSeriesSequence does not list (C.10.5, C.11.11)"
    for annotation in dataset.get("GraphicAnnotationSequence") or ():
        if len(listed) > 1 and is_empty(annotation, "ReferencedImageSequence"):
            yield "an annotation does not say on which of the images it stands (C.10.5)"
        if not any(annotation.get(each) for each in ("GraphicObjectSequence", "TextObjectSequence")):
            yield "an annotation holds neither graphics nor text (C.10.5)"


def _words(dataset: Dataset, _: Sources) -> Iterator[str]:
    for words in items(dataset, _TEXTS):
        box = ("BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner", "BoundingBoxAnnotationUnits")
        if any(is_empty(words, each) for each in box) and is_empty(words, "AnchorPoint"):
            yield "a text has neither a whole bounding box nor an anchor point (C.10.5)"


def _voi(dataset: Dataset, _: Sources) -> Iterator[str]:
    for item in dataset.get("SoftcopyVOILUTSequence") or ():
        window = not is_empty(item, "WindowCenter") and not is_empty(item, "WindowWidth")
        if not window and is_empty(item, "VOILUTSequence"):
            yield "an item of SoftcopyVOILUTSequence has neither a whole window nor a table (C.11.8)"


def _presentation_lut(dataset: Dataset, _: Sources) -> Iterator[str]:
    shape = text(dataset, "PresentationLUTShape")
    if shape not in ("IDENTITY", "INVERSE") and is_empty(dataset, "PresentationLUTSequence"):
        yield "there is neither PresentationLUTShape IDENTITY or INVERSE nor PresentationLUTSequence (C.11.6)"


_DRAWN: tuple[Check, ...] = (
    _IDENTIFICATION.check(),
    _RELATIONSHIP.check(),
    _ANNOTATION.check(),
    _TRACKING.check(),
    Check("displayed-area", _areas),
    Check("graphic-layer", _layers),
    Check("graphic-points", _counts),
    Check("graphics-in-range", _ranges),
    Check("annotated-images", _annotated_images),
    Check("text-place", _words),
)
GREYSCALE_STATE: tuple[Check, ...] = (
    *_DRAWN,
    Check("softcopy-voi", _voi),
    Check("presentation-lut", _presentation_lut),
)
COLOUR_STATE: tuple[Check, ...] = (*_DRAWN, _COLOUR_PROFILE.check())
