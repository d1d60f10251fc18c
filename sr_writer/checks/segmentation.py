"""Rules for a Segmentation (PS3.3 A.51, C.8.20): segments, frames, geometry, and pixels that are not empty."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from sr_writer.checks.attributes import Module, code_of, is_empty, is_native, items, text
from sr_writer.checks.problem import Check, Sources

#: Positions of source and frame, in mm, further apart than this are different slices for viewers.
_SAME_PLACE_MM = 0.001

_IMAGE = Module(
    "segmentation-image",
    "Segmentation Image and Image Pixel (C.8.20.2, C.7.6.3)",
    (
        "InstanceNumber",
        "ContentDate",
        "ContentTime",
        "ContentLabel",
        "ImageType",
        "SegmentationType",
        "SegmentSequence",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "LossyImageCompression",
        "NumberOfFrames",
        "PixelData",
    ),
    ("ContentDescription", "ContentCreatorName"),
)
_SEGMENTS = Module(
    "segment-description",
    "Segment Description (C.8.20.4)",
    tuple(
        f"SegmentSequence/{keyword}"
        for keyword in (
            "SegmentNumber",
            "SegmentLabel",
            "SegmentAlgorithmType",
            "SegmentAlgorithmName",
            "SegmentedPropertyCategoryCodeSequence",
            "SegmentedPropertyTypeCodeSequence",
        )
    ),
)
_ALGORITHM = Module(
    "segment-algorithm",
    "Algorithm Identification (Table 10-19), which every segment of ours has in full",
    (
        "SegmentSequence/SegmentationAlgorithmIdentificationSequence",
        *(
            f"SegmentSequence/SegmentationAlgorithmIdentificationSequence/{keyword}"
            for keyword in ("AlgorithmFamilyCodeSequence", "AlgorithmName", "AlgorithmVersion")
        ),
    ),
)
_TRACKING = Module(
    "segment-tracking",
    "IHE AIR, so that the same lesion is found in report and segmentation",
    ("SegmentSequence/TrackingID", "SegmentSequence/TrackingUID"),
)
_COLOUR = Module(
    "segment-colour", "what viewers need to draw a segment", ("SegmentSequence/RecommendedDisplayCIELabValue",)
)
_REFERENCES = Module(
    "referenced-series",
    "Common Instance Reference (C.12.2), without which viewers drop a segmentation",
    (
        "ReferencedSeriesSequence",
        "ReferencedSeriesSequence/SeriesInstanceUID",
        "ReferencedSeriesSequence/ReferencedInstanceSequence",
        "ReferencedSeriesSequence/ReferencedInstanceSequence/ReferencedSOPClassUID",
        "ReferencedSeriesSequence/ReferencedInstanceSequence/ReferencedSOPInstanceUID",
    ),
)
_DIMENSIONS = Module(
    "dimensions",
    "Multi-frame Dimension (C.7.6.17)",
    (
        "DimensionOrganizationSequence",
        "DimensionOrganizationSequence/DimensionOrganizationUID",
        "DimensionIndexSequence",
        "DimensionIndexSequence/DimensionIndexPointer",
        "DimensionIndexSequence/FunctionalGroupPointer",
        "DimensionIndexSequence/DimensionOrganizationUID",
        "PerFrameFunctionalGroupsSequence/FrameContentSequence",
        "PerFrameFunctionalGroupsSequence/FrameContentSequence/DimensionIndexValues",
    ),
)
_FRAMES = "PerFrameFunctionalGroupsSequence"
_DERIVATION = Module(
    "frame-derivation",
    "Derivation Image (C.7.6.16.2.6), by which viewers find the image below a frame",
    (
        _FRAMES,
        f"{_FRAMES}/DerivationImageSequence",
        f"{_FRAMES}/DerivationImageSequence/DerivationCodeSequence",
        f"{_FRAMES}/DerivationImageSequence/SourceImageSequence",
        f"{_FRAMES}/DerivationImageSequence/SourceImageSequence/ReferencedSOPClassUID",
        f"{_FRAMES}/DerivationImageSequence/SourceImageSequence/ReferencedSOPInstanceUID",
        f"{_FRAMES}/DerivationImageSequence/SourceImageSequence/PurposeOfReferenceCodeSequence",
    ),
)
#: Functional groups that give every frame its place, each in the frame or shared (C.7.6.16.2).
_PLACE = (
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness"),
)


def _numbers(dataset: Dataset, _: Sources) -> Iterator[str]:
    numbers = [item.get("SegmentNumber") for item in dataset.get("SegmentSequence") or ()]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "segment numbers do not run from 1 by 1 in the order of the segments; viewers count items instead"


def _automatic(dataset: Dataset, _: Sources) -> Iterator[str]:
    if any(text(item, "SegmentAlgorithmType") != "AUTOMATIC" for item in dataset.get("SegmentSequence") or ()):
        yield "SegmentSequence/SegmentAlgorithmType is not AUTOMATIC, though no person drew it"


def _binary(dataset: Dataset, _: Sources) -> Iterator[str]:
    bits = tuple(text(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit"))
    if text(dataset, "SegmentationType") == "BINARY" and bits != ("1", "1", "0"):
        yield "a BINARY segmentation has 1 bit allocated and stored (C.8.20.2.1)"


def _group(dataset: Dataset, frame: Dataset, name: str) -> Dataset:
    """The functional group of a frame, its own or the shared one; empty where there is neither."""
    shared = [item for group in dataset.get("SharedFunctionalGroupsSequence") or () for item in group.get(name) or ()]
    return next(iter([*(frame.get(name) or ()), *shared]), Dataset())


def _frame_segments(dataset: Dataset, _: Sources) -> Iterator[str]:
    frames = dataset.get(_FRAMES) or ()
    used = [_group(dataset, frame, "SegmentIdentificationSequence").get("ReferencedSegmentNumber") for frame in frames]
    numbers = {item.get("SegmentNumber") for item in dataset.get("SegmentSequence") or ()}
    if set(used) - numbers:
        yield "a frame names no segment, or one that SegmentSequence does not describe (C.8.20.3.1)"
    if numbers - set(used):
        yield "a segment is described that no frame shows"
    if text(dataset, "NumberOfFrames") != str(len(frames)):
        yield "NumberOfFrames is not the number of items in PerFrameFunctionalGroupsSequence (C.7.6.16)"


def _derivation(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _DERIVATION.check().find(dataset, sources)
    listed = {
        text(item, "ReferencedSOPInstanceUID")
        for item in items(dataset, "ReferencedSeriesSequence/ReferencedInstanceSequence")
    }
    path = f"{_FRAMES}/DerivationImageSequence"
    for item in items(dataset, f"{path}/SourceImageSequence"):
        if text(item, "ReferencedSOPInstanceUID") not in listed:
            yield "a frame derives from an image that ReferencedSeriesSequence does not list (C.12.2)"
            return
    if any(code_of(item, "DerivationCodeSequence") != ("113076", "DCM") for item in items(dataset, path)):
        yield "the derivation of a frame is not (113076, DCM, Segmentation)"


def _empty_frames(dataset: Dataset, _: Sources) -> Iterator[str]:
    masks = _masks(dataset)
    if masks is not None and not masks.any(axis=1).all():
        yield "a frame marks no pixel; frames without content are left out"


def _masks(dataset: Dataset) -> NDArray[np.bool_] | None:
    """Whether each pixel is set, (frame, pixel); None where the pixels are compressed or not all there."""
    if "PixelData" not in dataset or not is_native(dataset):
        return None
    frames, rows, columns = (int(dataset.get(keyword) or 0) for keyword in ("NumberOfFrames", "Rows", "Columns"))
    pixels = rows * columns
    stored = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    if dataset.get("BitsAllocated") == 1:
        stored = np.unpackbits(stored, bitorder="little")
    if not frames * pixels or stored.size < frames * pixels:
        return None
    return stored[: frames * pixels].reshape(frames, pixels) > 0


def _pixel_count(dataset: Dataset, _: Sources) -> Iterator[str]:
    if "PixelData" in dataset and is_native(dataset) and _masks(dataset) is None:
        yield "PixelData holds fewer pixels than NumberOfFrames, Rows and Columns say (C.7.6.3)"


def _frame_of_reference(dataset: Dataset, sources: Sources) -> Iterator[str]:
    own = text(dataset, "FrameOfReferenceUID")
    if not own:
        yield "FrameOfReferenceUID is missing or empty; it is Type 1 in Frame of Reference (C.7.4.1)"
    if "PositionReferenceIndicator" not in dataset:
        yield "PositionReferenceIndicator is missing; it is Type 2 in Frame of Reference (C.7.4.1)"
    for source in _known_sources(dataset, sources):
        if text(source, "FrameOfReferenceUID") not in ("", own):
            yield "FrameOfReferenceUID is not that of the source images"
            return


def _known_sources(dataset: Dataset, sources: Sources) -> list[Dataset]:
    referenced = items(dataset, "ReferencedSeriesSequence/ReferencedInstanceSequence")
    found = (sources.get(text(item, "ReferencedSOPInstanceUID")) for item in referenced)
    return [source for source in found if source is not None]


def _geometry(dataset: Dataset, sources: Sources) -> Iterator[str]:
    frames = dataset.get(_FRAMES) or ()
    for group, keyword in _PLACE:
        if any(is_empty(_group(dataset, frame, group), keyword) for frame in frames):
            yield f"a frame has no {group}/{keyword}, of its own or shared (C.7.6.16.2)"
    for source in _known_sources(dataset, sources):
        if any(text(source, keyword) != text(dataset, keyword) for keyword in ("Rows", "Columns")):
            yield "Rows and Columns are not those of the source images"
            break
    if any(_is_displaced(dataset, frame, sources) for frame in frames):
        yield "a frame does not lie where the image lies that it derives from"


def _is_displaced(dataset: Dataset, frame: Dataset, sources: Sources) -> bool:
    own = _group(dataset, frame, "PlanePositionSequence").get("ImagePositionPatient")
    for item in items(frame, "DerivationImageSequence/SourceImageSequence"):
        stated = _position(sources.get(text(item, "ReferencedSOPInstanceUID")), item.get("ReferencedFrameNumber"))
        if own is not None and stated is not None and not np.allclose(own, stated, rtol=0, atol=_SAME_PLACE_MM):
            return True
    return False


def _position(source: Dataset | None, frame_number: int | None) -> list[float] | None:
    """Image Position (Patient) of a single-frame image, or of one frame of an enhanced one."""
    if source is None:
        return None
    holder = source
    if frame_number is not None:
        frames = source.get(_FRAMES) or ()
        if not 0 < int(frame_number) <= len(frames):
            return None
        holder = _group(source, frames[int(frame_number) - 1], "PlanePositionSequence")
    value = holder.get("ImagePositionPatient")
    return None if value is None else [float(each) for each in value]


def _dimensions(dataset: Dataset, sources: Sources) -> Iterator[str]:
    yield from _DIMENSIONS.check().find(dataset, sources)
    count = len(dataset.get("DimensionIndexSequence") or ())
    for item in items(dataset, f"{_FRAMES}/FrameContentSequence"):
        if "DimensionIndexValues" in item and count != item["DimensionIndexValues"].VM:
            yield "DimensionIndexValues of a frame are not as many as DimensionIndexSequence has items (C.7.6.17)"
            return


SEGMENTATION: tuple[Check, ...] = (
    _IMAGE.check(),
    _SEGMENTS.check(),
    _ALGORITHM.check(),
    _TRACKING.check(),
    _COLOUR.check(),
    _REFERENCES.check(),
    Check("segment-numbers", _numbers),
    Check("segment-automatic", _automatic),
    Check("segmentation-bits", _binary),
    Check("frame-segments", _frame_segments),
    Check("frame-derivation", _derivation),
    Check("empty-frames", _empty_frames),
    Check("pixel-count", _pixel_count),
    Check("frame-of-reference", _frame_of_reference),
    Check("frame-geometry", _geometry),
    Check("dimensions", _dimensions),
)
