"""Rules for measurement groups: identity, algorithm, place and numbers of each finding (TID 1410, 1411, 300; OHIF)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from sr_writer import codes
from sr_writer.checks.attributes import code_of, is_empty, text
from sr_writer.checks.content import Item, root
from sr_writer.checks.problem import Check, Sources
from sr_writer.outlines import FEWEST_POINTS

_PLANAR, _VOLUMETRIC = "1410", "1411"
_COORDINATES = ("SCOORD", "SCOORD3D")
_MODIFIER, _CONTEXT, _CONTAINS = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS"

#: Rows that every group has: check, concept, value type, relationship.
_ROWS = (
    ("tracking-identifier", codes.TRACKING_IDENTIFIER, "TEXT", _CONTEXT),
    ("tracking-uid", codes.TRACKING_UNIQUE_IDENTIFIER, "UIDREF", _CONTEXT),
    ("group-finding", codes.FINDING, "CODE", _CONTAINS),
    ("group-algorithm-name", codes.ALGORITHM_NAME, "TEXT", _MODIFIER),
    ("group-algorithm-version", codes.ALGORITHM_VERSION, "TEXT", _MODIFIER),
)


def groups(dataset: Dataset) -> list[Item]:
    """Every measurement group of a report."""
    containers = root(dataset).children(codes.IMAGING_MEASUREMENTS, "CONTAINER", _CONTAINS)
    return [each for container in containers for each in container.children(codes.MEASUREMENT_GROUP, "CONTAINER")]


def tracking(group: Item) -> tuple[str, str]:
    """(identifier, UID) of a group; empty where it has none."""
    identifiers = group.children(codes.TRACKING_IDENTIFIER)
    uids = group.children(codes.TRACKING_UNIQUE_IDENTIFIER)
    return (
        next((text(each.dataset, "TextValue") for each in identifiers), ""),
        next((text(each.dataset, "UID") for each in uids), ""),
    )


def _row(name: str, concept: Code, value_type: str, relationship: str) -> Check:
    def find(dataset: Dataset, _: Sources) -> Iterator[str]:
        for group in groups(dataset):
            if len(group.children(concept, value_type, relationship)) != 1:
                yield f"measurement group {group.position} has not exactly one {value_type} {concept.meaning}"

    return Check(name, find)


def _template_of(group: Item) -> str:
    return next((text(each, "TemplateIdentifier") for each in group.dataset.get("ContentTemplateSequence") or ()), "")


def _group_template(dataset: Dataset, _: Sources) -> Iterator[str]:
    for group in groups(dataset):
        if _template_of(group) not in (_PLANAR, _VOLUMETRIC):
            yield f"measurement group {group.position} does not say by which template it is to be read (1410 or 1411)"


def _planar(dataset: Dataset, _: Sources) -> Iterator[str]:
    """TID 1410: exactly one region, and what it stands for."""
    for group in groups(dataset):
        if _template_of(group) == _PLANAR:
            if len(group.children(codes.IMAGE_REGION)) != 1:
                yield f"measurement group {group.position} has not exactly one Image Region (TID 1410)"
            if len(group.children(codes.GEOMETRIC_PURPOSE, "CODE")) != 1:
                yield f"measurement group {group.position} does not say what its region stands for (130400)"


def _volumetric(dataset: Dataset, _: Sources) -> Iterator[str]:
    """TID 1411: regions, or a segment with the images it was drawn on."""
    for group in groups(dataset):
        if _template_of(group) != _VOLUMETRIC or group.children(codes.IMAGE_REGION):
            continue
        segments = group.children(codes.REFERENCED_SEGMENT, "IMAGE")
        if not any(not is_empty(each, "ReferencedSegmentNumber") for item in segments for each in item.references()):
            yield f"measurement group {group.position} has neither regions nor a numbered segment (TID 1411)"
        sources = (codes.SOURCE_IMAGE_FOR_SEGMENTATION, codes.SOURCE_SERIES_FOR_SEGMENTATION)
        if not any(group.children(each) for each in sources):
            yield f"measurement group {group.position} does not name the source of its segment (TID 1411)"


def _coordinates(dataset: Dataset, _: Sources) -> Iterator[str]:
    placed = {tracking(each)[1] for each in groups(dataset) if _regions(each)}
    for group in groups(dataset):
        if not _regions(group) and tracking(group)[1] not in placed:
            yield (
                f"measurement group {group.position} has no coordinates, nor has another with its tracking UID; "
                "OHIF then shows nothing of the report"
            )


def _regions(item: Item) -> list[Item]:
    return [each for each in item.descendants() if each.value_type in _COORDINATES]


def _region_images(dataset: Dataset, _: Sources) -> Iterator[str]:
    for region in _regions(root(dataset)):
        if region.value_type == "SCOORD":
            images = region.children(None, "IMAGE", "SELECTED FROM")
            if len(region.children()) != 1 or len([each for item in images for each in item.references()]) != 1:
                yield f"region {region.position} is not selected from exactly one image (TID 1410, C.18.6)"


def _points(region: Item) -> NDArray[np.float64] | None:
    """Points (column, row); None where the numbers are no pairs."""
    data = np.asarray(region.dataset.get("GraphicData") or (), dtype=np.float64).ravel()
    return data.reshape(-1, 2) if data.size and data.size % 2 == 0 else None


def _polylines(dataset: Dataset, _: Sources) -> Iterator[str]:
    for region in _regions(root(dataset)):
        if region.value_type != "SCOORD":
            continue
        points = _points(region)
        if points is None:
            yield f"region {region.position} has coordinates that are no pairs of column and row (C.18.6)"
        elif text(region.dataset, "GraphicType") == "POLYLINE":
            if not np.array_equal(points[0], points[-1]):
                yield f"region {region.position} is an open line; the last point of an outline repeats the first"
            if len(points) < FEWEST_POINTS:
                yield f"region {region.position} has so few points that viewers offer it for editing"


def _points_in_range(dataset: Dataset, sources: Sources) -> Iterator[str]:
    stated = _stated_sizes(dataset)
    for region in _regions(root(dataset)):
        points = _points(region) if region.value_type == "SCOORD" else None
        images = [each for item in region.children() for each in item.references()]
        if points is None or not images:
            continue
        uid = text(images[0], "ReferencedSOPInstanceUID")
        size = _size(uid, sources) or stated.get(uid)
        if size is not None and (points.min() < 0 or (points > np.asarray(size)).any()):
            yield f"region {region.position} reaches out of its image: 0,0 to Columns,Rows (C.18.6)"


def _size(uid: str, sources: Sources) -> tuple[float, float] | None:
    header = sources.get(uid)
    if header is None or is_empty(header, "Rows") or is_empty(header, "Columns"):
        return None
    return float(header.Columns), float(header.Rows)


def _stated_sizes(dataset: Dataset) -> dict[str, tuple[float, float]]:
    """(columns, rows) by SOP Instance UID, as the report's own image library states them."""
    sizes = {}
    for entry in _library(dataset):
        columns = entry.children(codes.PIXEL_DATA_COLUMNS, "NUM")
        rows = entry.children(codes.PIXEL_DATA_ROWS, "NUM")
        if columns and rows:
            for reference in entry.references():
                sizes[text(reference, "ReferencedSOPInstanceUID")] = _number(columns[0]), _number(rows[0])
    return sizes


def _number(item: Item) -> float:
    return next((float(each.get("NumericValue") or 0) for each in item.dataset.get("MeasuredValueSequence") or ()), 0.0)


def _library(dataset: Dataset) -> list[Item]:
    libraries = root(dataset).children(codes.IMAGE_LIBRARY, "CONTAINER", _CONTAINS)
    found = [each for library in libraries for each in library.children(codes.IMAGE_LIBRARY_GROUP, "CONTAINER")]
    return [entry for group in found for entry in group.children(None, "IMAGE")]


def _image_library(dataset: Dataset, _: Sources) -> Iterator[str]:
    """Every image that an answer or a region rests on (TID 1600; IHE AIR), with its size."""
    for entry in _library(dataset):
        if not all(entry.children(each, "NUM") for each in (codes.PIXEL_DATA_ROWS, codes.PIXEL_DATA_COLUMNS)):
            yield f"content item {entry.position} does not say how many rows and columns its image has (TID 1602)"
    listed = {text(each, "ReferencedSOPInstanceUID") for entry in _library(dataset) for each in entry.references()}
    for item in root(dataset).descendants():
        used = [text(each, "ReferencedSOPInstanceUID") for each in item.references()]
        if not item.is_a(codes.REFERENCED_SEGMENT) and not set(used) <= listed:
            yield f"content item {item.position} refers to an image that the image library does not list"


def _units(dataset: Dataset, _: Sources) -> Iterator[str]:
    for item in root(dataset).descendants():
        if item.value_type != "NUM":
            continue
        values = item.dataset.get("MeasuredValueSequence") or ()
        if not values and is_empty(item.dataset, "NumericValueQualifierCodeSequence"):
            yield f"number {item.position} has neither a value nor the reason why there is none (CID 42)"
        for value in values:
            unit, scheme = code_of(value, "MeasurementUnitsCodeSequence")
            if is_empty(value, "NumericValue"):
                yield f"number {item.position} has no NumericValue (C.18.1)"
            if scheme != "UCUM" or not unit:
                yield f"number {item.position} has no unit of UCUM; what has no unit says (1, UCUM)"


MEASUREMENTS: tuple[Check, ...] = (
    *(_row(*row) for row in _ROWS),
    Check("group-template", _group_template),
    Check("planar-region", _planar),
    Check("volumetric-region", _volumetric),
    Check("group-coordinates", _coordinates),
    Check("region-image", _region_images),
    Check("outlines", _polylines),
    Check("points-in-range", _points_in_range),
    Check("image-library", _image_library),
    Check("units", _units),
)
