"""Segments of one volume to a Segmentation object (PS3.3 A.51), BINARY, on the grid of its source images."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.findings import Segment
from sr_writer import codes
from sr_writer.described import DescribedFinding, DescribedVolume
from sr_writer.inheritance import inherit_body_part, technical_copy
from sr_writer.provenance import Provenance, sign

#: Recommended display colours (red, green, blue) in turn; they stand out from grey and from each other.
_COLOURS = ((255, 80, 40), (40, 200, 255), (255, 210, 0), (120, 255, 80), (255, 90, 220), (150, 130, 255))
_SERIES_NUMBER = 9100


def can_be_segmented(described: DescribedVolume) -> bool:
    """Whether there are segments, and the source states the geometry that a Segmentation object must repeat."""
    if not described.segments or described.volume.affine is None:
        return False
    spaces = {str(header.get("FrameOfReferenceUID") or "") for header in described.headers}
    if len(spaces) != 1 or "" in spaces:
        return False
    return all(_states_plane(header, described.volume.slice_spacing_mm) for header in described.headers)


def segmentation(described: DescribedVolume, provenance: Provenance) -> Dataset:
    """The SEG of one volume; Segment Number n is the n-th of `described.segments`."""
    sources, masks = _on_source_frames(described)
    name = f"volume {described.number}"
    result = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=_pixel_array(masks),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(n, finding) for n, finding in enumerate(described.segments, start=1)],
        series_instance_uid=provenance.uid("SEG series", name),
        series_number=_SERIES_NUMBER + described.number,
        sop_instance_uid=provenance.uid("SEG", name),
        instance_number=1,
        manufacturer=provenance.equipment.manufacturer,
        manufacturer_model_name=provenance.equipment.model_name,
        software_versions=provenance.equipment.software_versions,
        device_serial_number=provenance.equipment.device_serial_number,
        content_label="AI_RESEARCH",
        content_description="AI segmentation, research use only",
        omit_empty_frames=True,
    )
    sign(result, provenance, f"AI {described.segments[0].algorithm.name[:36]} SEG - Research")
    inherit_body_part(result, described.headers[0], described.runs)
    result.ContentCreatorName = None  # Type 2 (Table 10-12), and highdicom leaves it out where nobody is named
    _name_dimensions(result, provenance.uid("SEG dimensions", name))
    return result


def _segment(number: int, finding: DescribedFinding) -> hd.seg.SegmentDescription:
    """Segment Description (C.8.20.4); the algorithm is identified in full (Table 10-19)."""
    algorithm = finding.algorithm
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=finding.label,
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        segmented_property_type=finding.concept,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=algorithm.version,
            source=algorithm.manufacturer,
            parameters=dict(algorithm.parameters) or None,
        ),
        tracking_id=finding.tracking_id,
        tracking_uid=finding.tracking_uid,
        anatomic_regions=None if finding.site is None else [finding.site],
        display_color=hd.color.CIELabColor.from_rgb(*_COLOURS[(number - 1) % len(_COLOURS)]),
    )


def _on_source_frames(described: DescribedVolume) -> tuple[list[Dataset], list[NDArray[np.bool_]]]:
    """Source images without duplicates, and the masks (frame, row, column) in the order of the sources' frames."""
    masks = [finding.source.mask for finding in described.segments if isinstance(finding.source, Segment)]
    first = described.volume.frames[0]
    if first.frame_number is None:
        return [_with_thickness(header, described.volume.slice_spacing_mm) for header in described.headers], masks
    source = technical_copy(described.headers[0])
    frames = [(frame.frame_number or 1) - 1 for frame in described.volume.frames]
    spread = []
    for mask in masks:
        whole = np.zeros((int(source.NumberOfFrames), *mask.shape[1:]), dtype=np.bool_)
        whole[frames] = mask
        spread.append(whole)
    return [source], spread


def _pixel_array(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8] | NDArray[np.bool_]:
    """Numbered segments in one array (frame, row, column), or, where segments overlap, a last axis of segments."""
    numbered = np.zeros(masks[0].shape, dtype=np.uint8 if len(masks) < 256 else np.uint16)
    for number, mask in enumerate(masks, start=1):
        if numbered[mask].any():
            return np.stack(masks, axis=-1)
        numbered[mask] = number
    return numbered


def _name_dimensions(result: Dataset, uid: str) -> None:
    """Dimension Organization UID (0020,9164) is random in highdicom; a repeated run must make the same object."""
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _with_thickness(header: Dataset, slice_spacing_mm: float | None) -> Dataset:
    """A source for highdicom, which insists on Slice Thickness (Type 2 in MR): where empty, slices adjoin."""
    source = technical_copy(header)
    if "SliceThickness" not in source:
        source.SliceThickness = slice_spacing_mm
    return source


def _states_plane(header: Dataset, slice_spacing_mm: float | None) -> bool:
    """Whether position, orientation, spacing and some thickness are there, if only in functional groups."""
    if "PerFrameFunctionalGroupsSequence" in header and "SharedFunctionalGroupsSequence" in header:
        return True
    if slice_spacing_mm is None and not header.get("SliceThickness"):
        return False
    return all(header.get(keyword) for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
