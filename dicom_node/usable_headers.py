"""Headers without what pydicom cannot convert: at once where reading looks, the rest when somebody asks for the header.

pydicom converts an element when it is first used, and raises there over one that is broken. Most of a header is of use
to results only, and most studies are read more often than they are reported: converting all of it first would take
longer than decoding a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from dicom_node.discretion import IDENTIFYING
from dicom_node.frames import SPACINGS, TRAITS
from dicom_node.headers import Header, parsed
from dicom_node.unreadable import UNREADABLE, silent

#: Groups that are read for their pixels, as a whole: Image Presentation and Pixel Data.
_PIXEL_GROUPS = (0x0028, 0x7FE0)
#: What reading looks at in other groups: whose it is, what it shows, where it lies, what tells frames apart.
READ_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet"),
    *("PatientName", *IDENTIFYING, "Manufacturer", "ManufacturerModelName", "PresentationIntentType"),
    *("ImageType", "VolumeBasedCalculationTechnique", "Modality", "BodyPartExamined", "SeriesNumber"),
    *("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", *SPACINGS, *TRAITS),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_READ = frozenset(tag_for_keyword(keyword) for keyword in READ_KEYWORDS)


def is_read(tag: int) -> bool:
    """Whether reading a study looks at this element."""
    return tag >> 16 in _PIXEL_GROUPS or tag in _READ


def drop_undecodable(header: Dataset, wanted: Callable[[int], bool] = lambda _tag: True) -> None:
    """Convert every element wanted, with all that is nested in it, and take out those that cannot be."""
    for tag in [tag for tag in header.keys() if wanted(tag)]:  # noqa: SIM118 (a data set iterates over its elements)
        try:
            element = header[tag]
        except UNREADABLE:
            del header[tag]
            continue
        if element.VR == "SQ":
            for item in element.value:
                drop_undecodable(item)


class UsableHeaders(Mapping[str, Dataset]):
    """Headers by SOP Instance UID, each parsed and made usable as a whole when it is first asked for."""

    def __init__(self, headers: Mapping[str, Header]) -> None:
        """Of each header what reading looks at has been made usable."""
        self._headers = dict(headers)
        self._usable: set[str] = set()

    def __getitem__(self, sop_instance_uid: str) -> Dataset:
        """The header; none of its elements raises. Raises KeyError for another instance."""
        header = parsed(self._headers[sop_instance_uid])
        if sop_instance_uid not in self._usable:
            with silent():
                drop_undecodable(header)
            self._headers[sop_instance_uid] = header
            self._usable.add(sop_instance_uid)
        return header

    def __contains__(self, sop_instance_uid: object) -> bool:
        """Whether the header is here; it stays as it is."""
        return sop_instance_uid in self._headers

    def __iter__(self) -> Iterator[str]:
        """SOP Instance UIDs."""
        return iter(self._headers)

    def __len__(self) -> int:
        """Number of headers."""
        return len(self._headers)
