"""What a peer holds of a study and the node does not, and which studies are priors of another; on values alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dicom_node.domain.retrieval import RemoteSeries, RemoteStudy
from sr_writer.provenance import is_own_uid


@dataclass(frozen=True, slots=True)
class Gap:
    """What is wanted of a study, and what of that is missing."""

    study_instance_uid: str
    #: SOP Instance UIDs.
    wanted: frozenset[str]
    missing: frozenset[str]
    #: Series of which something is missing, in the peer's order; all of each is sent, as peers take no finer request.
    series: tuple[str, ...]
    #: Whether the study is wanted as a whole and nothing of it is here, so that one request will do.
    whole: bool
    #: SOP Class UIDs of what is missing; empty where the peer did not tell them all.
    sop_classes: frozenset[str]


def gap_of(
    study_instance_uid: str, series: Sequence[RemoteSeries], held: Collection[str], modalities: Collection[str] = ()
) -> Gap:
    """What is missing of a study, whose `held` instances the node has, in the series of these modalities, or in all.

    The node's own results, which it sent there itself, are not wanted.
    """
    taken = [each for each in series if not modalities or each.modality in modalities]
    wanted = {uid: sop_class for each in taken for uid, sop_class in each.instances.items() if not is_own_uid(uid)}
    missing = {uid: sop_class for uid, sop_class in wanted.items() if uid not in held}
    there = sum(len(each.instances) for each in series)
    return Gap(
        study_instance_uid=study_instance_uid,
        wanted=frozenset(wanted),
        missing=frozenset(missing),
        series=tuple(each.series_instance_uid for each in taken if not missing.keys().isdisjoint(each.instances)),
        whole=bool(missing) and len(missing) == there,
        sop_classes=frozenset(missing.values()) if all(missing.values()) else frozenset(),
    )


def of_modalities(studies: Sequence[RemoteStudy], modalities: Collection[str]) -> tuple[RemoteStudy, ...]:
    """Those with one of the modalities, or all without any; once each, also those whose peer told no modality.

    A peer need not match by Modalities in Study (PS3.4 Table C.6-5: optional) and may answer with every study.
    """
    fitting = (
        study
        for study in studies
        if not modalities or not study.modalities or not set(modalities).isdisjoint(study.modalities)
    )
    return tuple({study.study_instance_uid: study for study in fitting}.values())


@dataclass(frozen=True, slots=True)
class PriorLimits:
    """Which earlier studies count as priors."""

    #: The latest so many.
    most: int
    #: None: however old.
    years: int | None = None


def priors_of(study: RemoteStudy, others: Sequence[RemoteStudy], limits: PriorLimits) -> tuple[RemoteStudy, ...]:
    """The earlier studies of the same patient, the latest first, within the limits.

    Same means equal in every character: a patient ID with * or ? makes a query that others match, too.
    Without a patient ID or a date of the study there are none.
    """
    if not study.patient_id or not study.study_date:
        return ()
    oldest = "" if limits.years is None else f"{int(study.study_date[:4]) - limits.years:04d}{study.study_date[4:]}"
    earlier = [
        each
        for each in others
        if _same_patient(study, each)
        and each.study_instance_uid != study.study_instance_uid
        and oldest <= each.study_date
        and each.study_date
        and _when(each) < _when(study)
    ]
    return tuple(sorted(earlier, key=_when, reverse=True)[: limits.most])


def shows_body_part(series: Sequence[RemoteSeries], body_part: str) -> bool:
    """Whether a study shows a body part, as its series say; one that says nothing may."""
    stated = {each.body_part for each in series} - {""}
    return not stated or body_part.upper() in stated


def _same_patient(one: RemoteStudy, other: RemoteStudy) -> bool:
    """An ID without its issuer is not the same as one with it: a missing prior does less harm than a stranger's."""
    return (one.patient_id, one.issuer_of_patient_id) == (other.patient_id, other.issuer_of_patient_id)


def _when(study: RemoteStudy) -> tuple[str, str]:
    return study.study_date, study.study_time
