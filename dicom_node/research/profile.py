"""What becomes of an attribute in a research copy: the Basic Application Level Confidentiality Profile (PS3.15 E.2).

Which attributes identify somebody is Table E.1-1, edition 2026c, as the package dicom-anonymizer carries it. Where the
table gives a choice (Z/D, X/Z, X/D, X/Z/D) it is the one that is right for any type of attribute. The table lists what
is known to identify; of what it does not list, text that people write, names, dates and unknown attributes go, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from functools import cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom import config
from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from dicom_node.domain.research import ResearchOption

EDITION = "2026c"


class Action(StrEnum):
    """What is done with one attribute; letters as in PS3.15 E.1.1."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    #: Each UID becomes its pseudonym, those of the standard stay.
    UID = "U"
    #: Dates go back by the patient's days.
    SHIFT = "shift"
    #: Stays if it consists of known words, and is empty otherwise.
    CLEAN = "C"
    #: A sequence that stays; its items are treated attribute by attribute.
    ITEMS = "items"
    PATIENT = "patient"
    ACCESSION_NUMBER = "accession number"
    AGE = "age"


def _tags(*keywords: str) -> frozenset[int]:
    found = [tag_for_keyword(keyword) for keyword in keywords]
    return frozenset(tag for tag in found if tag is not None)


_OWN: Mapping[int, Action] = {
    **dict.fromkeys(_tags("PatientID", "PatientName"), Action.PATIENT),
    **dict.fromkeys(_tags("AccessionNumber"), Action.ACCESSION_NUMBER),
    **dict.fromkeys(_tags("TrackingID"), Action.DUMMY),  # X in the table, but required beside Tracking UID (C.8.20.4)
}
#: Not in the table, and somebody's: dates as text, numbers of orders (retired ones, too), text of people.
_BEYOND_THE_TABLE = _tags(
    "AcquisitionProtocolName", "BreedRegistrationNumber", "ContentDescription", "FillerOrderNumberProcedure",
    "FillerOrderNumberImagingServiceRequestRetired", "FrameOfInterestDescription", "OwnerID",
    "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar", "PlacerOrderNumberProcedure",
    "PlacerOrderNumberImagingServiceRequestRetired", "RTImageName", "StageName", "ViewName",
)  # fmt: skip
#: Table E.1-1, column Rtn. Pat. Chars. Opt., those that stay as they are.
_CHARACTERISTICS = _tags(
    "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus"
)
#: Column Rtn. Dev. Id. Opt., those of images.
_DEVICE = _tags(
    "CassetteID", "DetectorID", "DeviceDescription", "DeviceSerialNumber", "GantryID", "GeneratorID", "PlateID",
    "StationName",
)  # fmt: skip
#: Column Clean Desc. Opt., those that say what an image shows.
_DESCRIPTORS = _tags(
    "AcquisitionProtocolDescription", "ContrastBolusAgent", "DerivationDescription", "ProtocolName",
    "PerformedProcedureStepDescription", "RequestedProcedureDescription", "SeriesDescription", "StudyDescription",
)  # fmt: skip
#: Their columns for dates are empty: they never stay, not even moved.
_PERSONAL_DATES = _tags("PatientBirthDate", "PatientBirthTime")
_AGE = _tags("PatientAge")
#: Text of a VR that people write into, which is a code or a part of one.
_CODES = _tags("URNCodeValue", "LongCodeValue")
#: Sequences with `D`, or with a choice of it: an item of dummies would tell nothing, and no image needs one.
_DUMMY_OR_NONE = {Action.DUMMY: Action.REMOVE, Action.EMPTY: Action.EMPTY, Action.REMOVE: Action.REMOVE}
_UNLISTED: Mapping[str, Action] = {
    "SQ": Action.ITEMS,
    "UI": Action.UID,
    "PN": Action.EMPTY,
    "DA": Action.EMPTY,
    "DT": Action.EMPTY,
    "TM": Action.EMPTY,
    **dict.fromkeys(("AE", "LT", "ST", "UT", "UR", "UN"), Action.REMOVE),
}


def action_for(tag: BaseTag, vr: str, options: Set[ResearchOption]) -> Action:
    """What is done with the attribute `tag`, of VR `vr`, on any level of a data set."""
    if _is_never_kept(tag):
        return Action.REMOVE
    if tag in _OWN:
        return _OWN[tag]
    by_option = _by_option(tag, vr, options)
    if by_option is not None:
        return by_option
    listed = _listed().get(tag)
    if vr == "SQ" and listed is not None:
        return _DUMMY_OR_NONE.get(listed, Action.ITEMS)
    if listed is not None:
        return listed
    return Action.KEEP if tag in _CODES else _UNLISTED.get(vr, Action.KEEP)


def _is_never_kept(tag: BaseTag) -> bool:
    """Private and unknown attributes, group lengths, those of commands and files, curves and overlays."""
    group = tag.group
    return (
        tag.is_private
        or tag.element == 0
        or group in (0x0000, 0x0002, 0x0004)
        or group & 0xFF00 in (0x5000, 0x6000)
        or not dictionary_has_tag(tag)
    )


def _by_option(tag: BaseTag, vr: str, options: Set[ResearchOption]) -> Action | None:
    if ResearchOption.PATIENT_CHARACTERISTICS in options and (tag in _CHARACTERISTICS or tag in _AGE):
        return Action.AGE if tag in _AGE else Action.KEEP
    if ResearchOption.DEVICE_IDENTITY in options and tag in _DEVICE:
        return Action.KEEP
    if ResearchOption.CLEAN_DESCRIPTORS in options and tag in _DESCRIPTORS:
        return Action.CLEAN
    if ResearchOption.MODIFIED_DATES in options and vr in ("DA", "DT", "TM") and tag not in _PERSONAL_DATES:
        return Action.KEEP if vr == "TM" else Action.SHIFT
    return None


@cache
def _listed() -> Mapping[int, Action]:
    """Table E.1-1 by tag, and what it lacks; its repeating groups are never kept anyway."""
    columns = (
        (Action.DUMMY, table.D_TAGS + table.Z_D_TAGS + table.X_D_TAGS + table.X_Z_D_TAGS),
        (Action.EMPTY, table.Z_TAGS + table.X_Z_TAGS),
        (Action.REMOVE, table.X_TAGS),
        (Action.UID, table.U_TAGS + table.X_Z_U_STAR_TAGS),
    )
    standard: dict[int, Action] = {Tag(*tag): action for action, tags in columns for tag in tags if len(tag) == 2}
    return {**dict.fromkeys(_BEYOND_THE_TABLE, Action.EMPTY), **standard}


def is_kept_uid(tag: BaseTag, uid: str) -> bool:
    """Whether a UID names a kind of thing: it is the standard's own, a class, a syntax or a code system."""
    keyword = keyword_for_tag(tag)
    return (
        UID(uid, validation_mode=config.IGNORE).name != uid
        or keyword.endswith(("ClassUID", "TransferSyntaxUID"))
        or keyword in ("CodingSchemeUID", "ContextUID", "MappingResourceUID")
    )
