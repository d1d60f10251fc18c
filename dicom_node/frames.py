"""What a header says of each of its frames, single-frame and multi-frame alike; reads no pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from dicom_node.domain.errors import ReadError
from dicom_node.headers import Header, PlainHeader
from dicom_node.selection import modality
from dicom_node.stacks import Grid, Place, StackFrame, Vector
from inference.volume import FrameReference

#: Modalities whose single-frame instances are slices of one object even when they state no place.
SLICED = frozenset({"CT", "MR", "PT"})

#: Where Pixel Spacing is absent, the spacing at the detector (PS3.3 C.8.11.4) or on the scanned plate (C.8.1.1): larger
#: than in the patient by the geometric magnification, and the best a plain radiograph can state.
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

#: Attributes that tell apart frames of one place, the most telling first.
TRAITS = (
    *("EchoTime", "EffectiveEchoTime", "EchoNumbers", "DiffusionBValue", "DiffusionGradientOrientation"),
    *("TemporalPositionIdentifier", "TemporalPositionIndex", "TemporalPositionTimeOffset", "InversionTime"),
    *("NominalCardiacTriggerDelayTime", "TriggerTime", "FlipAngle", "ComplexImageComponent", "ConvolutionKernel"),
    *("StackID", "ImageType", "FrameType", "AcquisitionNumber", "AcquisitionTime", "SliceThickness"),
)

#: Cosines further than this from unit length or a right angle are no orientation.
ORTHONORMAL_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """One frame's view of a header: its own functional groups, then the shared ones, then the header (C.7.6.16)."""

    number: int
    sources: tuple[Header, ...]

    def get(self, keyword: str) -> Any:  # noqa: ANN401 (what pydicom makes of a value depends on its VR)
        """The value from the innermost source that states it, or None."""
        for source in self.sources:
            if isinstance(source, PlainHeader):
                value = source.get(keyword)
            else:
                element = source.get(_tag(keyword))
                value = None if element is None else element.value
            if value is not None:
                return value
        return None


@cache
def _tag(keyword: str) -> BaseTag:
    """Asked once: a header is asked for some thirty keywords of every frame, most of which it does not have."""
    return Tag(keyword)


def frame_count(header: Header) -> int:
    """Number of Frames (0028,0008); absent, empty and zero count as one."""
    try:
        return int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError) as error:
        raise ReadError("states a Number of Frames (0028,0008) that is no number") from error


def frame_headers(header: Header) -> tuple[FrameHeader, ...]:
    """One view per frame, in order. Raises ReadError when functional groups describe too few frames."""
    count = frame_count(header)
    shared = _macros(header.get("SharedFunctionalGroupsSequence"), 0)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if groups and len(groups) < count:
        raise ReadError(f"describes only {len(groups)} of its {count} frames (Per-Frame Functional Groups Sequence)")
    return tuple(FrameHeader(index + 1, (*_macros(groups, index), *shared, header)) for index in range(count))


def _macros(groups: Sequence[Dataset] | None, index: int) -> tuple[Dataset, ...]:
    """The first items of every functional group macro in one item: that is where their attributes are."""
    if not groups:
        return ()
    return tuple(element.value[0] for element in groups[index] if element.VR == "SQ" and element.value)


def stack_frames(header: Header, frames: Sequence[FrameHeader]) -> tuple[StackFrame, ...]:
    """What stacking needs to know of each frame of one instance."""
    return tuple(_stack_frame(header, frame, is_only=len(frames) == 1) for frame in frames)


def _stack_frame(header: Header, frame: FrameHeader, is_only: bool) -> StackFrame:
    sop_instance_uid = str(header.get("SOPInstanceUID"))
    number = numbers(header.get("InstanceNumber"), 1)
    is_slice = is_only and modality(header) in SLICED
    return StackFrame(
        FrameReference(str(header.get("SOPClassUID")), sop_instance_uid, None if is_only else frame.number),
        int(number[0]) if number else 0,
        Grid(int(header.get("Rows")), int(header.get("Columns")), _kind(header), pixel_spacing_mm(frame)),
        _place(frame),
        gathering="" if is_slice else sop_instance_uid,
        traits=tuple((keyword, _text(frame.get(keyword))) for keyword in TRAITS),
    )


def is_slice_without_place(header: Header, frame: StackFrame) -> bool:
    """Whether the instance is one slice of a sectional modality and does not say where it lies."""
    return frame.place is None and frame.gathering == "" and modality(header) in SLICED


def _kind(header: Header) -> str:
    photometric = str(header.get("PhotometricInterpretation"))
    return {"MONOCHROME1": "inverse grey", "MONOCHROME2": "grey"}.get(photometric, "colour")


def pixel_spacing_mm(frame: FrameHeader) -> tuple[float, float] | None:
    """Distance between rows and between columns in mm (PS3.3 10.7.1.3), or None."""
    for keyword in SPACINGS:
        spacing = numbers(frame.get(keyword), 2)
        if spacing and min(spacing) > 0:
            return spacing[0], spacing[1]
    return None


def _place(frame: FrameHeader) -> Place | None:
    """Position and orientation, or None unless both are stated and the cosines are orthonormal."""
    position = numbers(frame.get("ImagePositionPatient"), 3)
    cosines = numbers(frame.get("ImageOrientationPatient"), 6)
    if position is None or cosines is None:
        return None
    row, column = (cosines[0], cosines[1], cosines[2]), (cosines[3], cosines[4], cosines[5])
    if max(abs(_dot(row, row) - 1), abs(_dot(column, column) - 1), abs(_dot(row, column))) > ORTHONORMAL_TOLERANCE:
        return None
    return Place((position[0], position[1], position[2]), row, column)


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def numbers(value: object, count: int | None = None) -> tuple[float, ...] | None:
    """The finite numbers of an element's value, or None when it holds anything else, or not `count` of them."""
    items: Sequence[Any] = value if isinstance(value, MultiValue | list | tuple) else (value,)
    try:
        found = tuple(float(item) for item in items)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if count in (None, len(found)) and all(math.isfinite(item) for item in found) else None


def _text(value: object) -> str:
    """One text per value: 90, 90.0 and "90" are the same."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{float(value):g}"
    return "\\".join(_text(item) for item in value) if isinstance(value, MultiValue | tuple) else str(value)
