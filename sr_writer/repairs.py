"""Values of source images that break the standard, made legal before a result carries them (PS3.5 section 6.2).

What can be mended without guessing is mended, anything else is left empty; either is told in the report, by the name
of the attribute and never by its value.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_description, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import DSfloat, PersonName, format_number_as_ds, validate_value

#: Most characters of a value (PS3.5 Table 6.2-1).
_LONGEST: Mapping[str, int] = {"AE": 16, "CS": 16, "LO": 64, "LT": 10240, "SH": 16, "ST": 1024, "UT": 2**20}
_DATES = ("%Y-%m-%d", "%Y.%m.%d", "%Y/%m/%d")
_TIMES = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%H%M%S.%f", "%H%M%S")
#: VRs whose values pydicom holds as objects, and checks as text.
_TEXTUAL = frozenset({"AS", "DA", "DS", "DT", "IS", "PN", "TM"})
#: VRs whose values may hold line breaks.
_LONG_TEXTS = frozenset({"LT", "ST", "UT"})
_CONTROLS = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")
_LINE_CONTROLS = re.compile(r"[\x00-\x09\x0b\x0e-\x1a\x1c-\x1f\x7f]")
#: Enumerated values of attributes that a result carries (C.7.1.1, C.7.2.2, C.7.3.1).
_ENUMERATED: Mapping[str, frozenset[str]] = {
    "PatientSex": frozenset({"M", "F", "O"}),
    "PatientSexNeutered": frozenset({"ALTERED", "UNALTERED"}),
    "PatientIdentityRemoved": frozenset({"YES", "NO"}),
    "QualityControlSubject": frozenset({"YES", "NO"}),
    "SmokingStatus": frozenset({"YES", "NO", "UNKNOWN"}),
    "Laterality": frozenset({"L", "R"}),
}
#: A mended identifier would be another's: one that is not legal is left empty.
_IDENTIFIERS = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "ClinicalTrialProtocolID",
        "ClinicalTrialSiteID",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "ClinicalTrialTimePointID",
        "CodeValue",
        "FillerOrderNumberImagingServiceRequest",
        "IssuerOfPatientID",
        "PatientID",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "StudyID",
    }
)
_SEXES = {"FEMALE": "F", "W": "F", "MALE": "M", "OTHER": "O"}
#: What makes a code (PS3.3 Table 8.8-1).
_CODE = ("CodingSchemeDesignator", "CodeMeaning")
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")


@dataclass(frozen=True, slots=True)
class Mended:
    """An element a result may carry, None where nothing of it is left, and what was done to it, a phrase each."""

    element: DataElement | None
    repairs: tuple[str, ...] = ()


def mend(element: DataElement) -> Mended:
    """A decoded element of any VR; what is legal comes back as it is."""
    if dictionary_VR(element.tag) == "SQ":
        return _mend_sequence(element)
    if element.is_empty:
        return Mended(element)
    vr, name = dictionary_VR(element.tag), _name(element.tag)
    values = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
    if len(values) > 1 and dictionary_VM(element.tag) == "1":
        return _mend_several(element, vr, values)
    mended = [_mend_value(vr, element.keyword, value) for value in values]
    problems = tuple(dict.fromkeys(f"{name} {problem}" for _, problem in mended if problem))
    if not problems and vr == element.VR:
        return Mended(element)
    left = [value for value, _ in mended if value is not None]
    content = left if len(left) > 1 else next(iter(left), None)
    if not problems:
        problems = (f"{name} had the wrong value representation",)
    return Mended(DataElement(element.tag, vr, content), problems)


def _mend_several(element: DataElement, vr: str, values: list[object]) -> Mended:
    """A text with a backslash in it, which separates values where one is allowed."""
    name = _name(element.tag)
    joined, problem = _mend_value(vr, element.keyword, "/".join(str(value) for value in values))
    if element.keyword in _IDENTIFIERS or joined is None:
        return Mended(DataElement(element.tag, vr, None), (f"{name} held several values and is empty here",))
    told = (f"{name} held a backslash", *([f"{name} {problem}"] if problem else ()))
    return Mended(DataElement(element.tag, vr, joined), told)


def _mend_sequence(element: DataElement) -> Mended:
    """Every item with legal values; codes that are none are left out."""
    repairs: list[str] = []
    items = []
    for item in element.value:
        for nested in list(item):
            mended = mend(nested)
            repairs += [f"{_name(element.tag)}: {repair}" for repair in mended.repairs]
            if mended.element is None:
                del item[nested.tag]
            else:
                item[nested.tag] = mended.element
        if _is_broken_code(element, item):
            repairs.append(f"{_name(element.tag)} held an incomplete code, which is left out")
        else:
            items.append(item)
    return Mended(DataElement(element.tag, "SQ", items), tuple(dict.fromkeys(repairs)))


def _is_broken_code(sequence: DataElement, item: Dataset) -> bool:
    if not sequence.keyword.endswith("CodeSequence"):
        return False
    return not all(item.get(part) for part in _CODE) or not any(item.get(part) for part in _CODE_VALUES)


def _mend_value(vr: str, keyword: str, value: object) -> tuple[object, str]:
    """(legal value, "") or (mended value, what was done), or (None, what was wrong)."""
    if _is_legal(vr, keyword, value):
        return value, ""
    for candidate, repair in _candidates(vr, keyword, value):
        if _is_legal(vr, keyword, candidate):
            return candidate, repair
    return None, f"held no legal value of {vr} and is empty here"


def _is_legal(vr: str, keyword: str, value: object) -> bool:
    text = str(value)
    if keyword in _ENUMERATED and text not in _ENUMERATED[keyword]:
        return False
    controls = _LINE_CONTROLS if vr in _LONG_TEXTS else _CONTROLS
    if isinstance(value, str | PersonName) and (controls.search(text) or len(text) > _LONGEST.get(vr, len(text))):
        return False
    try:
        validate_value(vr, text if vr in _TEXTUAL else value, RAISE)
    except (ValueError, TypeError):
        return False
    return vr != "DA" or (len(text) == len("YYYYMMDD") and _parsed(text, ("%Y%m%d",)) is not None)


def _candidates(vr: str, keyword: str, value: object) -> Iterator[tuple[object, str]]:
    """Legal values that mean the same, the most faithful first."""
    text = str(value).strip()
    if keyword == "PatientSex":
        short = _SEXES.get(text.upper(), text.upper())
        yield short, "was not written as M, F or O"
    if keyword in _IDENTIFIERS:
        return
    make = _MENDERS.get(vr)
    if make is not None:
        yield from make(text)


def _cut(longest: int, controls: re.Pattern[str]) -> Callable[[str], Iterator[tuple[object, str]]]:
    def candidates(text: str) -> Iterator[tuple[object, str]]:
        clean = controls.sub(" ", text).strip()
        yield clean, "held control characters"
        yield clean[:longest].rstrip(), f"was longer than {longest} characters and is cut"

    return candidates


def _code_string(text: str) -> Iterator[tuple[object, str]]:
    yield text.upper(), "was not in upper case"
    clean = re.sub(r"[^A-Z0-9 _]", "_", text.upper())
    yield clean[: _LONGEST["CS"]], "held characters that a code string must not have, or too many"


def _date(text: str) -> Iterator[tuple[object, str]]:
    found = _parsed(text, _DATES)
    if found is not None:
        yield found.strftime("%Y%m%d"), "was not written as YYYYMMDD"


def _time(text: str) -> Iterator[tuple[object, str]]:
    found = _parsed(text, _TIMES)
    if found is not None:
        yield found.strftime("%H%M%S.%f" if found.microsecond else "%H%M%S"), "was not written as HHMMSS"


def _age(text: str) -> Iterator[tuple[object, str]]:
    found = re.fullmatch(r"(\d{1,3})\s*([DWMY])", text.upper())
    if found:
        yield f"{int(found[1]):03d}{found[2]}", "was not written as three digits and a unit"


def _decimal(text: str) -> Iterator[tuple[object, str]]:
    try:
        yield DSfloat(format_number_as_ds(float(text))), "was longer than 16 characters and is rounded"
    except ValueError:
        return


def _person_name(text: str) -> Iterator[tuple[object, str]]:
    groups = [_CONTROLS.sub(" ", group).strip()[:64] for group in text.split("=")[:3]]
    yield PersonName("=".join(groups)), "was longer than 64 characters a group and is cut, or held control characters"


def _parsed(text: str, formats: tuple[str, ...]) -> datetime.datetime | None:
    for form in formats:
        try:
            return datetime.datetime.strptime(text, form)  # DA and TM have no zone
        except ValueError:
            continue
    return None


_MENDERS: Mapping[str, Callable[[str], Iterator[tuple[object, str]]]] = {
    **{vr: _cut(most, _LINE_CONTROLS if vr in _LONG_TEXTS else _CONTROLS) for vr, most in _LONGEST.items()},
    "CS": _code_string,
    "DA": _date,
    "TM": _time,
    "AS": _age,
    "DS": _decimal,
    "PN": _person_name,
}


def _name(tag: BaseTag) -> str:
    """As the standard writes it."""
    return dictionary_description(tag) if keyword_for_tag(tag) else str(tag)
