"""From an analysis to the objects for every destination: each profile's objects, each object once, with who gets it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydicom import Dataset

from dicom_node.changes import changes_between
from dicom_node.domain.delivery import EarlierReport
from dicom_node.summary import StudySummary, summarise
from inference.findings import Analysis
from sr_writer.encode import encode
from sr_writer.profiles import Profile
from sr_writer.provenance import Equipment, Predecessor


@dataclass(frozen=True, slots=True, eq=False)
class Addressed:
    """A result object and the destinations that are to get it, by name."""

    dataset: Dataset
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Signed:
    """What the results of one analysis share: the sources' headers, who signs, when the analysis began."""

    headers: Mapping[str, Dataset]
    equipment: Equipment
    when: datetime.datetime


def results_for(
    analysis: Analysis,
    signed: Signed,
    profiles: Mapping[Profile, tuple[str, ...]],
    earlier: Sequence[EarlierReport] = (),
) -> tuple[Addressed, ...]:
    """Every object that a destination of `profiles` gets, in sending order for each of them. `earlier` are the reports
    of earlier jobs of the study, newest first."""
    objects: dict[str, tuple[int, Dataset]] = {}
    destinations: dict[str, tuple[str, ...]] = {}
    for profile, names in profiles.items():
        before = [_predecessor(each, analysis) for each in earlier if _concerns(each, names)]
        made = encode(analysis, signed.headers, signed.equipment, signed.when, profile, before)
        for place, dataset in enumerate(made):
            uid = str(dataset.SOPInstanceUID)
            # the place among one profile's objects: an object that two profiles share comes at the later one
            objects[uid] = (max(place, objects[uid][0] if uid in objects else 0), dataset)
            destinations[uid] = (*destinations.get(uid, ()), *names)
    ordered = sorted(objects, key=lambda uid: objects[uid][0])
    return tuple(Addressed(objects[uid][1], destinations[uid]) for uid in ordered)


def _concerns(report: EarlierReport, names: Sequence[str]) -> bool:
    """Whether it went to one of these, or, like theirs, to nobody."""
    return bool(set(report.peers) & set(names)) or (not report.peers and not names)


def _predecessor(before: EarlierReport, analysis: Analysis) -> Predecessor:
    try:
        changes = changes_between(StudySummary.model_validate_json(before.summary), summarise(analysis))
    except ValidationError:  # a version of the node wrote it that told less
        changes = ("What has changed is not known: the previous report is of another version of this node.",)
    return Predecessor(
        sop_class_uid=before.result.sop_class_uid,
        sop_instance_uid=before.result.sop_instance_uid,
        series_instance_uid=before.result.series_instance_uid,
        changes=changes,
    )
