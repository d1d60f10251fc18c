"""Image Library of the report (TID 1600): every image that was analysed, with what its header says for certain."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from sr_writer import codes
from sr_writer.described import DescribedVolume
from sr_writer.inheritance import stated_frame_of_reference

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(volumes: Sequence[DescribedVolume]) -> ContainerContentItem:
    """One group per volume, each image once; descriptors are left out where the source lacks them.

    highdicom's own library insists on attributes that real radiographs and multi-frame images do not have.
    """
    library = ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=RelationshipTypeValues.CONTAINS)
    library.ContentSequence = ContentSequence([_group(volume) for volume in volumes])
    return library


def _group(described: DescribedVolume) -> ContainerContentItem:
    group = ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=RelationshipTypeValues.CONTAINS)
    headers = {header.SOPInstanceUID: header for header in described.headers}
    spacing = described.volume.pixel_spacing_mm
    group.ContentSequence = ContentSequence([_entry(header, spacing) for header in headers.values()])
    return group


def _entry(header: Dataset, spacing: tuple[float, float] | None) -> ImageContentItem:
    """One image with its descriptors (TID 1602)."""
    image = ImageContentItem(
        codes.SOURCE,
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    descriptors: list[ContentItem] = []
    modality = codes.ACQUISITION_MODALITIES.get(str(header.get("Modality")))
    if modality is not None:
        descriptors.append(CodeContentItem(codes.MODALITY, modality, _CONTEXT))
    frame_of_reference = stated_frame_of_reference(header)
    if frame_of_reference:
        descriptors.append(UIDRefContentItem(codes.FRAME_OF_REFERENCE_UID, frame_of_reference, _CONTEXT))
    descriptors.append(_number(codes.PIXEL_DATA_ROWS, header.Rows, codes.PIXELS))
    descriptors.append(_number(codes.PIXEL_DATA_COLUMNS, header.Columns, codes.PIXELS))
    if spacing is not None:
        descriptors.append(_number(codes.HORIZONTAL_PIXEL_SPACING, round(spacing[1], 6), codes.MILLIMETRE))
        descriptors.append(_number(codes.VERTICAL_PIXEL_SPACING, round(spacing[0], 6), codes.MILLIMETRE))
    image.ContentSequence = ContentSequence(descriptors)
    return image


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=_CONTEXT)
