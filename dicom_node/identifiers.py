"""Identifiers of C-FIND, C-MOVE and C-GET in the Study Root model (PS3.4 C.4, C.6.2), and what is read from answers."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_node.domain.retrieval import Dates, RemoteSeries, RemoteStudy, StudyKeys

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


def study_query(keys: StudyKeys) -> Dataset:
    """C-FIND at the level of studies; the answers can be read with `study_of`."""
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = keys.study_instance_uid
    query.PatientID = keys.patient_id
    query.IssuerOfPatientID = keys.issuer_of_patient_id
    query.AccessionNumber = keys.accession_number
    query.StudyDate = "" if keys.dates is None else _range(keys.dates)
    query.StudyTime = ""
    query.ModalitiesInStudy = keys.modality
    return query


def series_query(study_instance_uid: str) -> Dataset:
    """C-FIND for the series of a study; the answers can be read with `series_of`."""
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = query.Modality = query.BodyPartExamined = ""
    return query


def instance_query(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    """C-FIND for the instances of a series; the answers can be read with `instances_of`."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = study_instance_uid, series_instance_uid
    query.SOPInstanceUID = query.SOPClassUID = ""
    return query


def retrieval(study_instance_uid: str, series_instance_uid: str | None = None) -> Dataset:
    """C-MOVE or C-GET of a study, or of one of its series."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY" if series_instance_uid is None else "SERIES"
    identifier.StudyInstanceUID = study_instance_uid
    if series_instance_uid is not None:
        identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def study_of(answer: Dataset) -> RemoteStudy:
    """The study of one answer to `study_query`."""
    return RemoteStudy(
        study_instance_uid=_uid(answer, "StudyInstanceUID"),
        study_date=_text(answer, "StudyDate"),
        study_time=_text(answer, "StudyTime"),
        modalities=_texts(answer, "ModalitiesInStudy"),
        patient_id=_text(answer, "PatientID"),
        issuer_of_patient_id=_text(answer, "IssuerOfPatientID"),
    )


def series_of(answer: Dataset, instances: tuple[Dataset, ...] = ()) -> RemoteSeries:
    """The series of one answer to `series_query`, with the answers to its `instance_query`."""
    return RemoteSeries(
        series_instance_uid=_uid(answer, "SeriesInstanceUID"),
        modality=_text(answer, "Modality"),
        body_part=_text(answer, "BodyPartExamined").upper(),
        instances={uid: _uid(each, "SOPClassUID") for each in instances if (uid := _uid(each, "SOPInstanceUID"))},
    )


def _range(dates: Dates) -> str:
    """A range of dates (PS3.4 C.2.2.2.5); one day as a single value, which more peers understand."""
    first, last = (each.strftime("%Y%m%d") for each in (dates.first, dates.last))
    return first if first == last else f"{first}-{last}"


def _uid(answer: Dataset, keyword: str) -> str:
    """Digits and dots (PS3.5 9.1), or nothing: what is here goes into requests, messages and the database."""
    text = _text(answer, keyword)
    return text if _UID.fullmatch(text) else ""


def _text(answer: Dataset, keyword: str) -> str:
    return "\\".join(_texts(answer, keyword))


def _texts(answer: Dataset, keyword: str) -> tuple[str, ...]:
    value = answer.get(keyword)
    values = value if isinstance(value, MultiValue) else () if value is None else (value,)
    return tuple(text for each in values if (text := str(each).strip()))
