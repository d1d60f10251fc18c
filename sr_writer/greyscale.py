"""How a source image wants its grey values shown, copied for a presentation state (PS3.3 C.11.1, C.11.6, C.11.8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue

from sr_writer.inheritance import element_of, mended

_RESCALE = ("RescaleIntercept", "RescaleSlope", "RescaleType")
_WINDOW = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")


def add_greyscale(state: Dataset, images: Sequence[tuple[Dataset, int | None]]) -> None:
    """Add Modality LUT, Softcopy VOI LUT and Presentation LUT as the images (header, frame number) have them; their
    `modality_lut` is one and the same."""
    first, frame = images[0]
    for element in modality_lut(first, frame):
        state[element.tag] = element
    if "RescaleSlope" in state and not state.get("RescaleType"):
        state.RescaleType = "US"
    windows = list(_voi_luts(images))
    if windows:
        state.SoftcopyVOILUTSequence = windows
    state.PresentationLUTShape = "INVERSE" if first.get("PhotometricInterpretation") == "MONOCHROME1" else "IDENTITY"


def modality_lut(header: Dataset, frame: int | None) -> list[DataElement]:
    """What turns stored values into the modality's own, of which a presentation state has one for all its images
    (C.11.1): a table, else slope and intercept."""
    table = element_of(header, "ModalityLUTSequence")
    if table is not None and not table.is_empty:
        return [table]
    rescale = _elements(header, frame, "PixelValueTransformationSequence", _RESCALE)
    is_whole = {"RescaleIntercept", "RescaleSlope"} <= {element.keyword for element in rescale}
    return rescale if is_whole else []


def _voi_luts(images: Sequence[tuple[Dataset, int | None]]) -> Iterator[Dataset]:
    """Items of Softcopy VOI LUT Sequence: one for all images that agree, with their references where not all do."""
    groups: list[tuple[list[DataElement], list[tuple[Dataset, int | None]]]] = []
    for header, frame in images:
        window = _elements(header, frame, "FrameVOILUTSequence", _WINDOW)
        if not {"WindowCenter", "WindowWidth"} <= {element.keyword for element in window}:
            window = _elements(header, frame, "FrameVOILUTSequence", ("VOILUTSequence",))
        if not window or not _is_usable(window):
            continue
        members = next((members for known, members in groups if known == window), None)
        if members is None:
            groups.append((window, [(header, frame)]))
        else:
            members.append((header, frame))
    for window, members in groups:
        item = Dataset()
        for element in window:
            item[element.tag] = element
        if len(members) < len(images):
            item.ReferencedImageSequence = list(_references(members))
        yield item


def _is_usable(window: Sequence[DataElement]) -> bool:
    """Whether every Window Width is one that a linear function can have (C.11.2.1.2.1)."""
    by_keyword = {element.keyword: element.value for element in window}
    if "WindowWidth" not in by_keyword:  # a table instead
        return True
    widths = by_keyword["WindowWidth"]
    linear = by_keyword.get("VOILUTFunction", "LINEAR") == "LINEAR"
    return all(
        width >= 1 if linear else width > 0 for width in (widths if isinstance(widths, MultiValue) else [widths])
    )


def _elements(header: Dataset, frame: int | None, group: str, keywords: Sequence[str]) -> list[DataElement]:
    """Legal elements with a value of one frame, from its functional group in an enhanced image (C.7.6.16)."""
    holder = header
    if frame is not None:
        functional = [
            *header.get("PerFrameFunctionalGroupsSequence", [])[frame - 1 : frame],
            *header.get("SharedFunctionalGroupsSequence", []),
        ]
        holder = next((groups[group][0] for groups in functional if groups.get(group)), header)
    found = (mended(holder, keyword).element for keyword in keywords)
    return [element for element in found if element is not None and not element.is_empty]


def _references(members: Sequence[tuple[Dataset, int | None]]) -> Iterator[Dataset]:
    """Image SOP Instance Reference Macro items (Table 10-3), one per instance."""
    frames: dict[str, list[int]] = {}
    headers: dict[str, Dataset] = {}
    for header, frame in members:
        headers[header.SOPInstanceUID] = header
        frames.setdefault(header.SOPInstanceUID, []).extend([] if frame is None else [frame])
    for uid, header in headers.items():
        item = Dataset()
        item.ReferencedSOPClassUID = header.SOPClassUID
        item.ReferencedSOPInstanceUID = uid
        if frames[uid]:
            item.ReferencedFrameNumber = frames[uid]
        yield item
