"""The images with findings, named in a Key Object Selection (PS3.3 A.35.4, TID 2010), for viewers that jump to them."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset

from sr_writer import codes, wording
from sr_writer.described import DescribedVolume
from sr_writer.inheritance import inherit_body_part, inherit_laterality, technical_copy
from sr_writer.provenance import Provenance, sign
from sr_writer.report import observer

_SERIES_NUMBER = 9500


def key_objects(volumes: Sequence[DescribedVolume], provenance: Provenance) -> Dataset:
    """One selection for the whole study: the image of each finding's main contour, each once. Raises ValueError where
    nothing was found."""
    frames = _frames(volumes)
    images = [technical_copy(provenance.sources[uid]) for uid in frames]
    content = hd.ko.KeyObjectSelection(
        document_title=codes.OF_INTEREST,
        referenced_objects=images,
        observer_device_context=observer(next(each for volume in volumes for each in volume.findings).algorithm),
        description=f"Images with AI findings. {wording.RESEARCH_USE_ONLY}",
    )
    result = hd.ko.KeyObjectSelectionDocument(
        evidence=images,
        content=content,
        series_instance_uid=provenance.uid("KO series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=provenance.uid("KO"),
        instance_number=1,
        manufacturer=provenance.equipment.manufacturer,
    )
    _name_frames(result, frames)
    sign(result, provenance, "AI key images - Research")
    first = next(each for each in volumes if each.findings)
    inherit_body_part(result, first.headers[0], first.runs)
    inherit_laterality(result, first.headers[0])
    return result


def _frames(volumes: Sequence[DescribedVolume]) -> dict[str, list[int]]:
    """SOP Instance UID -> frame numbers, none for a single-frame image."""
    frames: dict[str, list[int]] = {}
    for described in volumes:
        for index in sorted({finding.main.slice_index for finding in described.findings}):
            frame = described.volume.frames[index]
            numbers = frames.setdefault(frame.sop_instance_uid, [])
            numbers += [] if frame.frame_number is None else [frame.frame_number]
    return frames


def _name_frames(result: Dataset, frames: dict[str, list[int]]) -> None:
    """Highdicom names whole images only."""
    for item in result.ContentSequence:
        for reference in item.get("ReferencedSOPSequence", []):
            if frames.get(reference.ReferencedSOPInstanceUID):
                reference.ReferencedFrameNumber = frames[reference.ReferencedSOPInstanceUID]
