"""What a peer holds, asked from the study down to its instances; every answer by C-FIND, Study Root (PS3.4 C.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dicom_node.domain.retrieval import RemoteSeries, RemoteStudy, StudyKeys
from dicom_node.gaps import PriorLimits, of_modalities, priors_of, shows_body_part
from dicom_node.identifiers import instance_query, series_of, series_query, study_of, study_query
from dicom_node.peers import Query


def find_studies(query: Query, keys: StudyKeys, modalities: Sequence[str] = ()) -> tuple[RemoteStudy, ...]:
    """The studies that fit, of one of the modalities or of any. Raises PeerUnreachable or PeerRefused."""
    each_modality = [replace(keys, modality=modality) for modality in modalities] or [keys]
    found = [study_of(answer) for wanted in each_modality for answer in query.find(study_query(wanted))]
    return of_modalities([study for study in found if study.study_instance_uid], modalities)


def contents_of(query: Query, study_instance_uid: str) -> tuple[RemoteSeries, ...]:
    """The series of a study with their instances. Raises PeerUnreachable or PeerRefused."""
    return tuple(
        series_of(answer, query.find(instance_query(study_instance_uid, uid)))
        for answer in query.find(series_query(study_instance_uid))
        if (uid := series_of(answer).series_instance_uid)
    )


def find_priors(
    query: Query, study: RemoteStudy, limits: PriorLimits, modalities: Sequence[str] = (), body_part: str = ""
) -> tuple[RemoteStudy, ...]:
    """Earlier studies of the patient of a study, the latest first; without `modalities` those of the study.

    Raises PeerUnreachable or PeerRefused.
    """
    if not study.patient_id:
        return ()
    patient = StudyKeys(patient_id=study.patient_id, issuer_of_patient_id=study.issuer_of_patient_id)
    others = find_studies(query, patient, modalities or _pictures(study))
    if not body_part:
        return priors_of(study, others, limits)
    every_prior = priors_of(study, others, replace(limits, most=len(others)))
    showing = (prior for prior in every_prior if shows_body_part(_series(query, prior), body_part))
    return tuple(prior for prior, _ in zip(showing, range(limits.most), strict=False))


def _series(query: Query, study: RemoteStudy) -> tuple[RemoteSeries, ...]:
    return tuple(series_of(answer) for answer in query.find(series_query(study.study_instance_uid)))


def _pictures(study: RemoteStudy) -> tuple[str, ...]:
    """The modalities of a study, without those of what is made from pictures: a report makes no study comparable."""
    return tuple(modality for modality in study.modalities if modality not in _NOT_ACQUIRED)


#: Modalities of objects that are made from images or about them (PS3.3 C.7.3.1.1.1).
_NOT_ACQUIRED = frozenset({"SR", "SEG", "PR", "KO", "OT", "DOC", "RTSTRUCT", "REG", "ASMT", "AU", "SC"})
