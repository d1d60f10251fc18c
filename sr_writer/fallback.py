"""What a destination gets in place of a SOP class that it refuses, so that nothing it has refers to what it has not.

A Comprehensive 3D SR becomes a Comprehensive SR, a label map a BINARY segmentation. Where segmentations are refused
altogether the report tells of the lesions by their outlines alone. Other objects have nothing in their place.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SegmentationStorage

from sr_writer.created import LABEL_MAP_SEGMENTATION_STORAGE
from sr_writer.profiles import Profile, ReportForm, ResultKind, SegmentationForm


def without(profile: Profile, refused: Collection[str]) -> Profile:
    """The profile for a destination that refuses these SOP classes; the same where nothing can take their place."""
    if LABEL_MAP_SEGMENTATION_STORAGE in refused and profile.segmentation is SegmentationForm.LABELMAP:
        profile = replace(profile, segmentation=SegmentationForm.BINARY)
    # label maps go, too: where lesions overlap they are BINARY, and nothing that is refused may be made again
    if SegmentationStorage in refused and ResultKind.REPORT in profile.objects:
        profile = replace(profile, objects=profile.objects - {ResultKind.SEGMENTATION})
    if Comprehensive3DSRStorage in refused:
        profile = replace(profile, report_form=ReportForm.COMPREHENSIVE)
    return profile


def in_place_of(sop_class_uid: str, profile: Profile, refused: Collection[str]) -> str | None:
    """What a destination of that profile, which refuses `refused`, gets instead of a SOP class; None: nothing."""
    left = without(profile, {*refused, sop_class_uid})
    if sop_class_uid == Comprehensive3DSRStorage:
        return ComprehensiveSRStorage.name
    if ResultKind.SEGMENTATION in left.objects:
        return "Segmentation Storage, BINARY" if sop_class_uid == LABEL_MAP_SEGMENTATION_STORAGE else None
    if sop_class_uid in (SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE) and ResultKind.REPORT in left.objects:
        return "a report without segmentation"
    return None
