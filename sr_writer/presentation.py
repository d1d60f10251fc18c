"""Findings of one volume as a presentation state: outlines and words on the images.

Grey images get a Grayscale Softcopy Presentation State (PS3.3 A.33.1), colour ones a Color Softcopy Presentation State
(A.33.2). It repeats what the report says, for viewers that do not draw reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset

from sr_writer import wording
from sr_writer.colour import colour_of, profile_of
from sr_writer.described import DescribedFinding, DescribedVolume
from sr_writer.greyscale import add_greyscale, modality_lut
from sr_writer.inheritance import inherit_body_part, inherit_laterality, numbers_of, technical_copy
from sr_writer.outlines import Outline
from sr_writer.provenance import Provenance, sign

_SERIES_NUMBER = 9200
_LAYER = "AI_RESEARCH"

#: Width of a character and height of a line as parts of the image's, generous for the fonts of displays.
_CHARACTER = 0.022
_LINE = 0.06

_Box = tuple[float, float, float, float]
#: Slice index -> what is drawn there.
_Drawn = dict[int, list[tuple[DescribedFinding, Outline]]]


def can_be_presented(described: DescribedVolume) -> bool:
    """Whether there is something to draw, on images that are all grey or all in colour."""
    return bool(described.findings) and len({_is_colour(header) for header in described.headers}) == 1


def presentation_states(described: DescribedVolume, provenance: Provenance) -> tuple[Dataset, ...]:
    """The presentation states of one volume: one, or one for each Modality LUT where its images have several (PET)."""
    groups: list[tuple[list[DataElement], _Drawn]] = []
    for index, findings in sorted(_by_slice(described).items()):
        lut = modality_lut(described.headers[index], described.volume.frames[index].frame_number)
        alike = next((drawn for known, drawn in groups if known == lut), None)
        if alike is None:
            groups.append((lut, {index: findings}))
        else:
            alike[index] = findings
    return tuple(_state(described, provenance, drawn, number) for number, (_, drawn) in enumerate(groups, start=1))


def _state(described: DescribedVolume, provenance: Provenance, drawn: _Drawn, number: int) -> Dataset:
    """One presentation state; it references exactly the images that it draws on."""
    images = [(described.headers[index], described.volume.frames[index].frame_number) for index in sorted(drawn)]
    stubs = {uid: _stub(header) for uid, header in {each.SOPInstanceUID: each for each, _ in images}.items()}
    layer = hd.pr.GraphicLayer(
        _LAYER, order=1, description="AI, research use only", display_color=hd.color.CIELabColor.from_rgb(*colour_of(0))
    )
    name = f"volume {described.number}"
    part = () if number == 1 else (str(number),)
    state = _kind(images[0][0])(
        referenced_images=list(stubs.values()),
        series_instance_uid=provenance.uid("PR series", name),
        series_number=_SERIES_NUMBER + described.number,
        sop_instance_uid=provenance.uid("PR", name, *part),
        instance_number=number,
        manufacturer=provenance.equipment.manufacturer,
        manufacturer_model_name=provenance.equipment.model_name,
        software_versions=provenance.equipment.software_versions,
        device_serial_number=provenance.equipment.device_serial_number,
        content_label=_LAYER,
        content_description="AI findings, research use only",
        graphic_layers=[layer],
        graphic_annotations=[_annotation(described, index, drawn[index], layer, stubs) for index in sorted(drawn)],
    )
    sign(state, provenance, "AI overlay - Research")
    inherit_body_part(state, images[0][0], described.runs)
    inherit_laterality(state, images[0][0])
    if not _is_colour(images[0][0]):
        add_greyscale(state, images)
    _keep_pixel_shape(state, described)
    return state


def _by_slice(described: DescribedVolume) -> _Drawn:
    drawn: _Drawn = defaultdict(list)
    for finding in described.findings:
        for outline in finding.outlines:
            drawn[outline.slice_index].append((finding, outline))
    return drawn


def _annotation(
    described: DescribedVolume,
    index: int,
    drawn: Sequence[tuple[DescribedFinding, Outline]],
    layer: hd.pr.GraphicLayer,
    stubs: Mapping[str, Dataset],
) -> hd.pr.GraphicAnnotation:
    """Everything on one slice: each outline, each finding's words once."""
    frame = described.volume.frames[index]
    return hd.pr.GraphicAnnotation(
        referenced_images=[stubs[frame.sop_instance_uid]],
        graphic_layer=layer,
        referenced_frame_number=frame.frame_number,
        graphic_objects=[_graphic(finding, outline) for finding, outline in drawn],
        text_objects=list(_texts(described, drawn)),
    )


def _graphic(finding: DescribedFinding, outline: Outline) -> hd.pr.GraphicObject:
    """One contour in the numbers that the report uses, too (C.10.5)."""
    return hd.pr.GraphicObject(
        graphic_type=hd.pr.GraphicTypeValues.POLYLINE,
        graphic_data=outline.points,
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        is_filled=False,
        tracking_id=finding.tracking_id,
        tracking_uid=finding.tracking_uid,
    )


def _texts(described: DescribedVolume, drawn: Sequence[tuple[DescribedFinding, Outline]]) -> Iterator[hd.pr.TextObject]:
    """The words of each finding on a slice; numbers stand on the slice of its main contour only."""
    _, rows, columns = described.volume.shape
    taken = [_bounds([outline.points]) for _, outline in drawn]
    for finding in dict.fromkeys(finding for finding, _ in drawn):
        bounds = _bounds([outline.points for each, outline in drawn if each is finding])
        is_main = any(outline is finding.main for each, outline in drawn if each is finding)
        text = _words(finding) if is_main else f"AI {finding.label}"
        place = _free_place(bounds, taken, (columns, rows), min(len(text) * _CHARACTER, 1.0) * columns)
        if place is None:
            continue
        taken.append(place)
        yield hd.pr.TextObject(
            text,
            units=hd.pr.AnnotationUnitsValues.PIXEL,
            bounding_box=place,
            tracking_id=finding.tracking_id,
            tracking_uid=finding.tracking_uid,
        )


def _words(finding: DescribedFinding) -> str:
    numbers = wording.numbers(finding.measurements)
    return f"AI {finding.label}{', ' if numbers else ''}{numbers}"


def _bounds(points: Sequence[NDArray[np.float64]]) -> _Box:
    """(left, top, right, bottom) of some points."""
    stacked = np.vstack(points)
    (left, top), (right, bottom) = stacked.min(axis=0), stacked.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _free_place(bounds: _Box, taken: Sequence[_Box], size: tuple[int, int], width: float) -> _Box | None:
    """A box for words near `bounds` that covers no lesion: below, above, right, left of it, else a corner.

    `size` is (columns, rows). Below and above come first, because words that a display draws wider than their box
    then still miss the lesion. None where even the corners are taken: the outline's tracking identifier names it, too.
    """
    columns, rows = size
    height = rows * _LINE
    gap = height / 2
    left, top, right, bottom = bounds
    middle = min(max((top + bottom - height) / 2, 0.0), rows - height)
    centre = min(max((left + right - width) / 2, 0.0), columns - width)
    origins = (
        (centre, bottom + gap),
        (centre, top - gap - height),
        (right + gap, middle),
        (left - gap - width, middle),
        (0.0, 0.0),
        (columns - width, 0.0),
        (0.0, rows - height),
        (columns - width, rows - height),
    )
    places = [(x, y, x + width, y + height) for x, y in origins]
    inside = [each for each in places if each[0] >= 0 and each[1] >= 0 and each[2] <= columns and each[3] <= rows]
    return next((each for each in inside if not any(_overlap(each, other) for other in taken)), None)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _kind(header: Dataset) -> Callable[..., Dataset]:
    """What makes a presentation state for such images."""
    if _is_colour(header):
        return partial(hd.pr.ColorSoftcopyPresentationState, icc_profile=profile_of(header.get("ICCProfile")))
    kind: Callable[..., Dataset] = hd.pr.GrayscaleSoftcopyPresentationState
    return kind


def _is_colour(header: Dataset) -> bool:
    return bool(header.get("SamplesPerPixel", 1) == 3 or header.get("PhotometricInterpretation") == "PALETTE COLOR")


def _stub(header: Dataset) -> Dataset:
    """The source without its own grey pipeline, which is copied by `add_greyscale`."""
    stub = technical_copy(header, with_groups=False)
    stub.SamplesPerPixel = 3 if _is_colour(header) else 1
    if "NumberOfFrames" in header or "PerFrameFunctionalGroupsSequence" in header:
        stub.SharedFunctionalGroupsSequence = [Dataset()]
        stub.PerFrameFunctionalGroupsSequence = []
    return stub


def _keep_pixel_shape(state: Dataset, described: DescribedVolume) -> None:
    """Displayed Area (C.10.4): pixels keep their physical shape, where highdicom takes them for square."""
    spacing = described.volume.pixel_spacing_mm
    ratio = numbers_of(described.headers[0], "PixelAspectRatio")
    for item in state.DisplayedAreaSelectionSequence:
        if spacing is None:
            if len(ratio) == 2 and min(ratio) > 0:
                item.PresentationPixelAspectRatio = [int(value) for value in ratio]
            continue
        del item.PresentationPixelAspectRatio
        item.PresentationPixelSpacing = [round(value, 6) for value in spacing]
