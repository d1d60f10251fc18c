"""Findings as pictures for viewers that show nothing else: an RGB Secondary Capture series (PS3.3 A.8.1).

One picture for each slice on which a finding is largest: the slice, outlines, numbers, a legend, and what it is not
for. No patient data is burned in beyond what the source's own pixels hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from inference.findings import HeatMap
from sr_writer import codes, wording
from sr_writer.colour import Colour
from sr_writer.described import DescribedFinding, DescribedVolume, image_number
from sr_writer.drawing import captioned, displayed, draw_outline, enlarged, with_heat
from sr_writer.inheritance import inherit_body_part, inherit_laterality, technical_copy
from sr_writer.provenance import Provenance, sign

_SNAPSHOT_SERIES, _HEAT_SERIES = 9300, 9400
_LONGEST = 768
#: Slices shown of one volume, those of the surest findings; the rest is named in the legend.
_MOST = 12


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """Pixels uint8 (row, column, RGB) made from one slice, in words for its Derivation Description."""

    pixels: NDArray[np.uint8]
    slice_index: int
    told: str


def snapshots(described: DescribedVolume, provenance: Provenance) -> tuple[Dataset, ...]:
    """The key slices of one volume's findings; none where nothing was found."""
    pictures = list(_key_pictures(described))
    return _series(described, provenance, pictures, "snapshot", _SNAPSHOT_SERIES, "AI snapshot - Research")


def heat_pictures(described: DescribedVolume, provenance: Provenance) -> tuple[Dataset, ...]:
    """One picture for each heat map of the volume that has values."""
    pictures = [_heat_picture(described, heat, heat.values) for heat in described.heat_maps if heat.values is not None]
    return _series(described, provenance, pictures, "heat map", _HEAT_SERIES, "AI heat map - Research")


def _key_pictures(described: DescribedVolume) -> Iterator[_Picture]:
    surest = sorted(described.findings, key=lambda each: -each.score)
    slices = list(dict.fromkeys(finding.main.slice_index for finding in surest))
    for index in sorted(slices[:_MOST]):
        shown = [finding for finding in described.findings if any(o.slice_index == index for o in finding.outlines)]
        picture = _panel(described, displayed(described.volume, index))
        lines: list[tuple[str, Colour | None]] = []
        for finding in shown:
            colour = finding.colour
            for outline in (outline for outline in finding.outlines if outline.slice_index == index):
                draw_outline(picture, outline, described.volume.shape[1:], colour)
            lines.append((wording.ascii_only(wording.finding(finding)), colour))
        lines += [(text, None) for text in (_where(described, index), *_makers(shown), _left_out(len(slices))) if text]
        yield _Picture(captioned(picture, wording.RESEARCH_ONLY, lines), index, "outlines of AI findings")


def _heat_picture(described: DescribedVolume, heat: HeatMap, values: NDArray[np.float32]) -> _Picture:
    plain = displayed(described.volume, heat.slice_index)
    panels = [np.asarray(_panel(described, each)) for each in (plain, with_heat(plain, values))]
    side_by_side = enlarged(np.concatenate(panels, axis=1), None, 2 * _LONGEST)
    lines = (
        (wording.ascii_only(f"{heat.stage}: {heat.label}, {heat.method}; brighter speaks more for the answer"), None),
        (_where(described, heat.slice_index), None),
    )
    told = f"{heat.method} of {heat.stage}: {heat.label}"
    return _Picture(captioned(side_by_side, wording.RESEARCH_ONLY, lines), heat.slice_index, told)


def _panel(described: DescribedVolume, pixels: NDArray[np.uint8]) -> Image.Image:
    return enlarged(pixels, described.volume.pixel_spacing_mm, _LONGEST)


def _where(described: DescribedVolume, index: int) -> str:
    number = described.headers[index].get("SeriesNumber")
    series = "" if number is None else f"series {number}, "
    return f"{series}{image_number(described.volume, described.headers, index)}"


def _makers(shown: Sequence[DescribedFinding]) -> Iterator[str]:
    for algorithm in dict.fromkeys(finding.algorithm for finding in shown):
        yield wording.ascii_only(f"by {algorithm.name} {algorithm.version}")


def _left_out(slices: int) -> str:
    return f"{slices - _MOST} more slices with findings are not shown" if slices > _MOST else ""


def _series(
    described: DescribedVolume,
    provenance: Provenance,
    pictures: Sequence[_Picture],
    role: str,
    series_number: int,
    description: str,
) -> tuple[Dataset, ...]:
    return tuple(
        _capture(described, provenance, picture, number, (role, series_number, description))
        for number, picture in enumerate(pictures, start=1)
    )


def _capture(
    described: DescribedVolume,
    provenance: Provenance,
    picture: _Picture,
    number: int,
    series: tuple[str, int, str],
) -> Dataset:
    """One Secondary Capture image; it says which image it was made from."""
    role, series_number, description = series
    name = f"volume {described.number}"
    header = described.headers[picture.slice_index]
    result = hd.sc.SCImage(
        pixel_array=picture.pixels,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),
        study_instance_uid=provenance.subject.StudyInstanceUID,
        series_instance_uid=provenance.uid(f"{role} series", name),
        series_number=series_number + described.number,
        sop_instance_uid=provenance.uid(role, name, str(picture.slice_index), picture.told),
        instance_number=number,
        manufacturer=provenance.equipment.manufacturer,
    )
    sign(result, provenance, description)
    inherit_body_part(result, header, described.runs)
    inherit_laterality(result, header)
    result["PatientOrientation"].value = None  # captions have none, and what the picture shows keeps the source's
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.DerivationDescription = f"AI research result: {picture.told}"[:1024]
    result.SourceImageSequence = [_source(described, picture.slice_index)]
    if header.get("BurnedInAnnotation") in {"YES", "NO"}:  # nobody else knows
        result.BurnedInAnnotation = header.BurnedInAnnotation
    source = technical_copy(header)
    if source.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in source:
                result[keyword] = source[keyword]
    return result


def _source(described: DescribedVolume, index: int) -> Dataset:
    """Image SOP Instance Reference with the purpose (Table 10-3)."""
    frame = described.volume.frames[index]
    item = Dataset()
    item.ReferencedSOPClassUID = frame.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.sop_instance_uid
    if frame.frame_number is not None:
        item.ReferencedFrameNumber = frame.frame_number
    item.PurposeOfReferenceCodeSequence = [codes.item(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    return item
