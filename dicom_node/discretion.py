"""What may be repeated of text that others wrote: nothing that names the patient, in a peer's comment or a header.

What cannot be known to be harmless is not quoted at all: identifiers that are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.headers import Header
from dicom_node.unreadable import UNREADABLE

#: Attributes that say who the patient is (PS3.3 C.2.2, C.2.3, C.7.1.1), or lead to him in other systems.
IDENTIFYING = (
    "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber", "IssuerOfPatientID", "PatientAddress",
    "PatientTelephoneNumbers", "MilitaryRank", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames",
)  # fmt: skip
#: Family, given and middle name (PS3.5 6.2.1.1); "Mr" in a prefix is no name, and is a modality.
_NAMES = 3
_WORD = re.compile(r"\w+")
#: Shorter words are in too many others; of three letters they count when they stand alone.
_SHORTEST, _SHORTEST_WITHIN = 3, 4
#: PS3.5 9.1.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_NOT_PRINTABLE = re.compile(r"[^ -~\xa0-\U0010ffff]")


def names_patient(text: str, header: Header) -> bool:
    """Whether a text repeats anything that says who the patient of `header` is."""
    lower = text.lower()
    words = set(_WORD.findall(lower))
    return any(word in words or (len(word) >= _SHORTEST_WITHIN and word in lower) for word in _identity(header))


def comment_of(response: Dataset, about: Dataset | None = None) -> str:
    """A peer's Error Comment (0000,0902) in parentheses after a space; of the patient of `about` it must not speak."""
    comment = _NOT_PRINTABLE.sub("?", str(response.get("ErrorComment") or ""))
    if not comment:
        return ""
    if about is not None and names_patient(comment, about):
        return " (its comment names the patient, and is left out)"
    return f" ({comment})"


def shown_uid(text: object) -> str:
    """A UID to be told; what is none might be anything, and is not."""
    return str(text) if _UID.fullmatch(str(text)) else "an instance without a UID"


def is_uid(text: str) -> bool:
    """Whether it has the form of one (PS3.5 9.1)."""
    return _UID.fullmatch(text) is not None


def _identity(header: Header) -> Iterator[str]:
    """Words in lower case."""
    for text in (*_person_names(header), *(_text(header, keyword) for keyword in IDENTIFYING)):
        yield from (word for word in _WORD.findall(text.lower()) if len(word) >= _SHORTEST)


def _person_names(header: Header) -> list[str]:
    groups = _text(header, "PatientName").split("=")
    return [part for group in groups for part in group.split("^")[:_NAMES]]


def _text(header: Header, keyword: str) -> str:
    try:
        return str(header.get(keyword) or "")
    except UNREADABLE:  # then nobody can repeat it either
        return ""
