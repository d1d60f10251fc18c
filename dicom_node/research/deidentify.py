"""One data set without its patient: every attribute on every level by the profile, and the marks that say so."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag
from pydicom.uid import UID

from dicom_node.domain.research import ResearchOption
from dicom_node.research.descriptors import is_plain
from dicom_node.research.profile import EDITION, Action, action_for, is_kept_uid
from dicom_node.research.pseudonyms import Patient, Pseudonyms
from sr_writer.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

#: A date that says nothing; also what is left of one that must be there (D).
DUMMY_DATE = "19000101"
#: What is left of a value that must be there (D), by VR; an attribute of another VR goes.
_DUMMIES: Mapping[str, str | int | float | bytes] = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
    **dict.fromkeys(("DS", "IS", "FD", "FL", "SL", "SS", "UL", "US"), 0),
    "AS": "000Y",
    "DA": DUMMY_DATE,
    "DT": f"{DUMMY_DATE}000000",
    "TM": "000000",
    "OB": b"\0\0",
}
#: CID 7050.
_OPTION_CODES: Mapping[ResearchOption, Code] = {
    ResearchOption.MODIFIED_DATES: codes.DCM.RetainLongitudinalTemporalInformationModifiedDatesOption,
    ResearchOption.PATIENT_CHARACTERISTICS: codes.DCM.RetainPatientCharacteristicsOption,
    ResearchOption.DEVICE_IDENTITY: codes.DCM.RetainDeviceIdentityOption,
    ResearchOption.CLEAN_DESCRIPTORS: codes.DCM.CleanDescriptorsOption,
}
#: PS3.5 6.2, DA; with full stops as ACR-NEMA wrote it. DT begins alike.
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_AGE = re.compile(r"(\d{3})Y")
#: Above it, ages say who somebody is; they count as 90.
_OLDEST = 89


@dataclass(frozen=True, slots=True)
class Deidentification:
    """How all copies of one node are made."""

    pseudonyms: Pseudonyms
    options: frozenset[ResearchOption]
    #: What Deidentification Method (0012,0063) says besides the profile.
    software: str


def patient_of(dataset: Dataset) -> Patient:
    """Who the object is of. Without a Patient ID there is nothing to know the patient by in another study."""
    patient_id = str(dataset.get("PatientID") or "").strip()
    if not patient_id:
        return Patient("study", str(dataset.get("StudyInstanceUID") or ""))
    return Patient(f"issuer {str(dataset.get('IssuerOfPatientID') or '').strip()}", patient_id)


def deidentify(dataset: Dataset, how: Deidentification) -> None:
    """Make a data set that was read from a file, with its file meta information, a research copy, in place.

    Elements that stay keep their bytes. Raises what pydicom raises over values that cannot be read.
    """
    patient = patient_of(dataset)
    pseudonym = how.pseudonyms.patient(patient)
    _Items(how, pseudonym, how.pseudonyms.days_back(patient)).clean(dataset)
    dataset.PatientID = dataset.PatientName = pseudonym
    _mark(dataset, how)
    dataset.file_meta = _file_meta(dataset)


def vr_of(element: DataElement | RawDataElement) -> str:
    """The VR of an element; that of the dictionary where the data set states none, or only that it is unknown."""
    if element.VR in (None, "UN") and dictionary_has_tag(element.tag):
        return dictionary_VR(element.tag)
    return str(element.VR)


def strings(element: DataElement) -> tuple[str, ...]:
    """Every value as text; none where it is empty."""
    value = element.value
    values: Sequence[object] = value if isinstance(value, MultiValue | list) else (value,)
    return tuple(str(each) for each in values if each is not None and str(each))


def shifted(text: str, days_back: int) -> str:
    """A DA, or a DT of at least a day, so many days earlier; empty for what is no date."""
    found = _DATE.match(text)
    if found is None:
        return ""
    try:
        day = datetime.date(*map(int, found.groups())) - datetime.timedelta(days=days_back)
    except (ValueError, OverflowError):
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{text[found.end() :]}"


class _Items:
    """The profile over a data set and the items of its sequences, for one patient."""

    def __init__(self, how: Deidentification, pseudonym: str, days_back: int) -> None:
        self._how = how
        self._pseudonym = pseudonym
        self._days_back = days_back
        self._changes: Mapping[Action, Callable[[str], str]] = {
            Action.PATIENT: lambda _: pseudonym,
            Action.ACCESSION_NUMBER: lambda text: how.pseudonyms.accession_number(text.strip()),
            Action.SHIFT: lambda text: shifted(text.strip(), days_back),
            Action.CLEAN: lambda text: text if is_plain(text) else "",
            Action.AGE: _coarse_age,
        }

    def clean(self, dataset: Dataset) -> None:
        """Treat every attribute, in place; what stays is not even decoded."""
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            if element is None:
                continue
            vr = vr_of(element)
            action = action_for(tag, vr, self._how.options)
            if action is Action.REMOVE or (action is Action.DUMMY and vr not in _DUMMIES):
                del dataset[tag]
            elif action is Action.EMPTY:
                dataset[tag] = DataElement(tag, vr, [] if vr == "SQ" else None)
            elif action is Action.ITEMS:
                for item in dataset[tag].value or ():
                    self.clean(item)
            elif action is not Action.KEEP:
                dataset[tag] = DataElement(tag, vr, self._changed(dataset[tag], vr, action))

    def _changed(self, element: DataElement, vr: str, action: Action) -> object:
        values = strings(element)
        if not values:
            return None
        if action is Action.DUMMY:
            return _DUMMIES[vr]
        if action is Action.UID:
            return [self._uid(element.tag, value.strip(" \0")) for value in values]
        changed = [self._changes[action](value) for value in values]
        return changed if all(changed) else None

    def _uid(self, tag: BaseTag, uid: str) -> str:
        return uid if is_kept_uid(tag, uid) else self._how.pseudonyms.uid(uid)


def _coarse_age(text: str) -> str:
    found = _AGE.fullmatch(text.strip())
    return f"{_OLDEST + 1:03d}Y" if found is not None and int(found[1]) > _OLDEST else text


def _mark(dataset: Dataset, how: Deidentification) -> None:
    """PS3.15 E.1.1 and PS3.3 C.7.1.1, C.12.1: that it was done, how, and what became of the dates."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [f"PS3.15 {EDITION} Basic Application Confidentiality Profile", how.software]
    wanted = [codes.DCM.BasicApplicationConfidentialityProfile]
    wanted += [_OPTION_CODES[option] for option in ResearchOption if option in how.options]
    dataset.DeidentificationMethodCodeSequence = [_item(code) for code in wanted]
    moved = ResearchOption.MODIFIED_DATES in how.options
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if moved else "REMOVED"


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    """A new one: the old one may name who sent the original, and from where."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


#: Attributes that this module writes itself; what they say is nobody's.
OWN_MARKS: Set[str] = frozenset(
    {"PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"}
)
