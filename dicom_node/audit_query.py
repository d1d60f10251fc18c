"""A query as the audit trail tells it (PS3.15 A.5.3.10): which keys were asked for, and nothing of a patient."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian

#: Unique identifiers, coded words, dates and times of studies, numbers: of other representations only the key stays.
_TOLD = frozenset({"UI", "CS", "DA", "TM", "IS"})
_NOT_TOLD = frozenset({"PatientBirthDate", "PatientBirthTime", "PatientSex"})


def told_query(query: Dataset, *, plain: bool) -> tuple[bytes, str]:
    """The identifier of a query, encoded, and its Transfer Syntax UID; with every value where it is told `plain`."""
    told = Dataset()
    for element in query:
        if element.VR == "SQ":
            told[element.tag] = element if plain else type(element)(element.tag, "SQ", [])
        elif plain or (element.VR in _TOLD and element.keyword not in _NOT_TOLD):
            told[element.tag] = element
        else:
            told[element.tag] = type(element)(element.tag, element.VR, None)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, told)
    return buffer.getvalue(), str(ImplicitVRLittleEndian)
