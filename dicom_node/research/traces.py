"""The check after the work: nothing that says who the patient is occurs anywhere in the copy.

It knows nothing of the profile's table. It gathers from the original what identifies: names, numbers, dates, UIDs,
places; and looks for it in the copy as it would be sent: among its bytes, in every character set of the original,
pixels included; and word by word in its texts. What it finds it names by attribute and never by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.charset import convert_encodings
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicom_node.research.deidentify import DUMMY_DATE, OWN_MARKS, strings, vr_of
from dicom_node.research.profile import is_kept_uid

#: Besides every person's name, every date, and every UID that names a thing.
_IDENTIFYING = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "AccessionNumber", "AdmissionID", "CountryOfResidence", "CurrentPatientLocation",
        "FillerOrderNumberImagingServiceRequest", "InstitutionAddress", "InstitutionName",
        "InstitutionalDepartmentName", "IssuerOfPatientID", "MedicalRecordLocator", "MilitaryRank", "Occupation",
        "OtherPatientIDs", "PatientAddress", "PatientID", "PatientInstitutionResidence", "PatientTelephoneNumbers",
        "PersonAddress", "PersonTelephoneNumbers", "PlacerOrderNumberImagingServiceRequest",
        "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers", "RegionOfResidence", "RequestedProcedureID",
        "RequestingService", "ServiceEpisodeID", "StudyID",
    )
)  # fmt: skip
#: Shorter ones occur by chance among millions of bytes; they are looked for in texts alone.
_SHORTEST_VALUE = 5
_SHORTEST_WORD = 3
_TEXTS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_UID = re.compile(rb"\d+(?:\.\d+){3,}")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Traces:
    """What may not occur -> the name of the attribute where the original had it."""

    values: dict[str, str]
    #: Days as DICOM writes them; a time may follow.
    dates: dict[str, str]
    uids: dict[str, str]
    #: Parts of names, in lower case.
    words: dict[str, str]
    #: In which any of them may be written.
    encodings: tuple[str, ...]


def traces_of(original: Dataset) -> Traces:
    """Everything that identifies, on all levels, private ones included. The original stays as it is."""
    traces = Traces({}, {}, {}, {}, _encodings(original))
    for element in _elements(original):
        name, vr = keyword_for_tag(element.tag) or "a private attribute", vr_of(element)
        for text in (value.strip(" \0") for value in strings(element)):
            if vr == "UI" and text and not is_kept_uid(element.tag, text):
                traces.uids.setdefault(text, name)
            elif vr in ("DA", "DT") and text.replace(".", "")[:8] != DUMMY_DATE:
                _note(traces.dates, {day for day in (text[:8], text[:10]) if len(day.replace(".", "")) == 8}, name)
            elif vr == "PN":
                _note(traces.values, _forms(text), name)
                _note(traces.words, _words(text), name)
            elif element.tag in _IDENTIFYING and text:
                traces.values.setdefault(text, name)
    return traces


def found_in(traces: Traces, content: bytes, copy: Dataset) -> tuple[str, ...]:
    """Names of attributes whose original values are still in a copy; `content` is its file, `copy` the same, read."""
    texts = [text for element in _elements(copy) if element.VR in _TEXTS for text in strings(element)]
    words = {word for text in texts for word in _WORD.findall(text.casefold())}
    whole = {text.strip() for text in texts}
    uids = {match.group().decode() for match in _UID.finditer(content)}
    found = {name for uid, name in traces.uids.items() if uid in uids}
    found |= {name for word, name in traces.words.items() if word in words}
    found |= {name for day, name in traces.dates.items() if _occurs(day, content, traces, time_may_follow=True)}
    for value, name in traces.values.items():
        if value in whole or (len(value) >= _SHORTEST_VALUE and _occurs(value, content, traces)):
            found.add(name)
    return tuple(sorted(found))


def _note(known: dict[str, str], values: set[str], name: str) -> None:
    """The attribute that comes first in the data set gives its name."""
    for value in values:
        known.setdefault(value, name)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Every element with text in it, on all levels, but the marks of de-identification."""
    for tag in dataset.keys():  # noqa: SIM118  # a Dataset's own iterator decodes every value, pixels too
        raw = dataset.get_item(tag)
        if raw is None or keyword_for_tag(tag) in OWN_MARKS:
            continue
        vr = vr_of(raw)
        if vr == "SQ":
            for item in dataset[tag].value or ():
                yield from _elements(item)
        elif vr in _TEXTS or vr in ("DA", "DT", "UI"):
            yield dataset[tag]


def _encodings(original: Dataset) -> tuple[str, ...]:
    stated = convert_encodings(original.get("SpecificCharacterSet") or "ISO_IR 6")
    return tuple(dict.fromkeys(("utf-8", "latin-1", *stated)))


def _forms(name: str) -> set[str]:
    """A name as a whole, and each of its groups: alphabetic, ideographic, phonetic (PS3.5 6.2.1)."""
    return {form for group in (name, *name.split("=")) if (form := group.strip("^= "))}


def _words(name: str) -> set[str]:
    """Its parts; of those in Latin letters only what is longer than an initial or a title."""
    found = _WORD.findall(name.casefold())
    return {word for word in found if len(word) >= (_SHORTEST_WORD if word.isascii() else 2)}


def _occurs(value: str, content: bytes, traces: Traces, *, time_may_follow: bool = False) -> bool:
    for encoding in traces.encodings:
        needle = value.encode(encoding, errors="ignore")
        if len(needle) < _SHORTEST_VALUE:
            continue
        at = content.find(needle)
        while at >= 0:
            end = at + len(needle)
            if not (_goes_on(content, at, -1) or (not time_may_follow and _goes_on(content, end - 1, 1))):
                return True
            at = content.find(needle, at + 1)
    return False


def _goes_on(content: bytes, at: int, step: int) -> bool:
    """Whether a number or a word at the byte `at` is longer than what was looked for: another value then."""
    own, near, beyond = (content[i : i + 1] if i >= 0 else b"" for i in (at, at + step, at + 2 * step))
    if own.isdigit():
        return near.isdigit() or (near == b"." and beyond.isdigit())
    return own.isalpha() and near.isalpha()
