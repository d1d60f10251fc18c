"""Segments of one volume to a Segmentation object (PS3.3 A.51, A.51.5.3) on the grid of its source images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.findings import Segment
from inference.voxels import Mask
from sr_writer import codes
from sr_writer.described import DescribedFinding, DescribedVolume
from sr_writer.inheritance import inherit_body_part, numbers_of, technical_copy
from sr_writer.profiles import Profile, SegmentationForm
from sr_writer.provenance import Provenance, sign

_SERIES_NUMBER = 9100
#: What a single-frame image says about its place, and how many numbers that takes (C.7.6.2).
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_PLANE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


def can_be_segmented(described: DescribedVolume) -> bool:
    """Whether there are segments, and the source states the geometry that a Segmentation object must repeat."""
    if not described.segments or described.volume.affine is None or described.frame_of_reference_uid is None:
        return False
    if any(_is_multi_frame(header) for header in described.headers):
        # a Segmentation object has the frames of one multi-frame image (highdicom, and most readers)
        instances = {header.SOPInstanceUID for header in described.headers}
        return len(instances) == 1 and all(keyword in described.headers[0] for keyword in _GROUPS)
    return all(_states_plane(header, described.volume.slice_spacing_mm) for header in described.headers)


def segmentation(described: DescribedVolume, provenance: Provenance, profile: Profile) -> Dataset:
    """The SEG of one volume in the form that `profile` asks for; Segment Number n is the n-th of
    `described.segments`."""
    name = (f"volume {described.number}", *profile.segmentation_settings)
    sources, masks, form = _sources(described), list(_masks(described)), profile.segmentation
    if form is SegmentationForm.LABELMAP and _numbered(masks) is None:
        form = SegmentationForm.BINARY  # a label map has one segment for each voxel
    result = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=_PIXELS[form](masks),
        segmentation_type=form.upper(),
        segment_descriptions=[_segment(n, finding) for n, finding in enumerate(described.segments, start=1)],
        series_instance_uid=provenance.uid("SEG series", *name),
        series_number=_SERIES_NUMBER + described.number,
        sop_instance_uid=provenance.uid("SEG", *name),
        instance_number=1,
        manufacturer=provenance.equipment.manufacturer,
        manufacturer_model_name=provenance.equipment.model_name,
        software_versions=provenance.equipment.software_versions,
        device_serial_number=provenance.equipment.device_serial_number,
        content_label="AI_RESEARCH",
        content_description="AI segmentation, research use only",
        omit_empty_frames=profile.omit_empty_frames,
    )
    sign(result, provenance, f"AI {described.segments[0].algorithm.name[:36]} SEG - Research")
    inherit_body_part(result, described.headers[0], described.runs)
    result.ContentCreatorName = None  # Type 2 (Table 10-12), and highdicom leaves it out where nobody is named
    _name_dimensions(result, provenance.uid("SEG dimensions", *name))
    if form is SegmentationForm.LABELMAP:
        _leave_out_background(result)
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
        display_color=hd.color.CIELabColor.from_rgb(*finding.colour),
    )


def _sources(described: DescribedVolume) -> list[Dataset]:
    """Source images without duplicates, with the Frame of Reference that the result has, too."""
    if described.volume.frames[0].frame_number is None:
        sources = [_with_thickness(header, described.volume.slice_spacing_mm) for header in described.headers]
    else:
        sources = [technical_copy(described.headers[0])]
    for source in sources:
        source.FrameOfReferenceUID = described.frame_of_reference_uid
    return sources


def _masks(described: DescribedVolume) -> Iterator[Mask]:
    """Of each segment, in the order of the source's frames, which a stack may not all have."""
    for finding in described.segments:
        if isinstance(finding.source, Segment):
            yield _on_source_frames(finding.source.mask, described)


def _on_source_frames(mask: Mask, described: DescribedVolume) -> Mask:
    if described.volume.frames[0].frame_number is None:
        return mask
    frames = [(frame.frame_number or 1) - 1 for frame in described.volume.frames]
    placed = [replace(patch, slice_index=frames[patch.slice_index]) for patch in mask.patches]
    shape = int(described.headers[0].NumberOfFrames), *mask.shape[1:]
    return Mask(shape, tuple(sorted(placed, key=lambda patch: patch.slice_index)))


def _numbered(masks: Sequence[Mask]) -> NDArray[np.generic] | None:
    """Numbered segments in one array (frame, row, column); None where two share a voxel.

    What stays empty takes no memory: the system gives pages of zeros when something is written into them.
    """
    numbered = np.zeros(masks[0].shape, dtype=np.uint8 if len(masks) < 256 else np.uint16)
    for number, mask in enumerate(masks, start=1):
        for patch in mask.patches:
            place = numbered[(patch.slice_index, *patch.where)]
            if place[patch.inside].any():
                return None
            place[patch.inside] = number
    return numbered


def _numbered_or_stacked(masks: Sequence[Mask]) -> NDArray[np.generic]:
    """Numbered segments or, where some overlap, each apart along a last axis."""
    numbered = _numbered(masks)
    return np.stack([mask.whole() for mask in masks], axis=-1) if numbered is None else numbered


def _scored(masks: Sequence[Mask]) -> NDArray[np.generic]:
    """Scores 0 to 1 along a last axis, 0 outside of each lesion; 1 inside where there are none."""
    scored = np.zeros((*masks[0].shape, len(masks)), np.float32)
    for number, mask in enumerate(masks):
        for patch in mask.patches:
            scores = patch.inside if patch.scores is None else patch.scores.astype(np.float32) / 255
            scored[(patch.slice_index, *patch.where, number)] = scores
    return scored


_PIXELS: Mapping[SegmentationForm, Callable[[Sequence[Mask]], NDArray[np.generic]]] = {
    SegmentationForm.BINARY: _numbered_or_stacked,
    SegmentationForm.LABELMAP: _numbered_or_stacked,
    SegmentationForm.FRACTIONAL: _scored,
}


def _leave_out_background(result: Dataset) -> None:
    """Viewers count the items of Segment Sequence from 1: an item for the background, which is optional (C.8.20.2),
    would give every segment its neighbour's colour. Pixel Padding Value says what background is."""
    result.SegmentSequence = [item for item in result.SegmentSequence if item.SegmentNumber]
    result.PixelPaddingValue = 0


def _name_dimensions(result: Dataset, uid: str) -> None:
    """Dimension Organization UID (0020,9164) is random in highdicom; a repeated run must make the same object."""
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _is_multi_frame(header: Dataset) -> bool:
    return "PerFrameFunctionalGroupsSequence" in header or int(header.get("NumberOfFrames") or 1) > 1


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
    if slice_spacing_mm is None and not numbers_of(header, "SliceThickness"):
        return False
    return all(len(numbers_of(header, keyword)) == count for keyword, count in _PLANE.items())
