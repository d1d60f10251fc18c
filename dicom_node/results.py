"""From an analysis to the objects for every destination: each profile's objects, each object once, with who gets it."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from pydicom import Dataset

from dicom_node.changes import changes_between
from dicom_node.domain.delivery import EarlierReport
from dicom_node.faults import type_and_place
from dicom_node.summary import StudySummary, summarise
from inference.findings import Analysis, Outcome, StageRun, Task
from sr_writer.encode import encode
from sr_writer.fallback import without
from sr_writer.profiles import Profile
from sr_writer.provenance import Equipment, Predecessor

_LOGGER = logging.getLogger(__name__)
#: What highdicom and pydicom raise over what they refuse to write.
_REFUSED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


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
    for (profile, before), names in _by_history(profiles, earlier).items():
        for place, dataset in enumerate(_encoded(analysis, signed, profile, before)):
            uid = str(dataset.SOPInstanceUID)
            # the place among one profile's objects: an object that two profiles share comes at the later one
            objects[uid] = (max(place, objects[uid][0] if uid in objects else 0), dataset)
            destinations[uid] = (*destinations.get(uid, ()), *names)
    ordered = sorted(objects, key=lambda uid: objects[uid][0])
    return tuple(Addressed(objects[uid][1], destinations[uid]) for uid in ordered)


def profiles_without(
    profiles: Mapping[Profile, tuple[str, ...]], refused: Mapping[str, Collection[str]]
) -> Mapping[Profile, tuple[str, ...]]:
    """What is made, and for whom, where destinations refuse SOP classes (`refused`, by name)."""
    left: dict[Profile, tuple[str, ...]] = {}
    for profile, names in profiles.items():
        if not names:
            left[profile] = ()
        for name in names:
            wanted = without(profile, refused.get(name, ()))
            left[wanted] = (*left.get(wanted, ()), name)
    return left


def _by_history(
    profiles: Mapping[Profile, tuple[str, ...]], earlier: Sequence[EarlierReport]
) -> dict[tuple[Profile, tuple[EarlierReport, ...]], tuple[str, ...]]:
    """Destinations that get the same profile and got the same reports before."""
    groups: dict[tuple[Profile, tuple[EarlierReport, ...]], tuple[str, ...]] = {}
    for profile, names in profiles.items():
        for name in names or (None,):
            before = tuple(each for each in earlier if (name in each.peers if name else not each.peers))
            groups[profile, before] = (*groups.get((profile, before), ()), *([name] if name else []))
    return groups


def _encoded(
    analysis: Analysis, signed: Signed, profile: Profile, earlier: Sequence[EarlierReport]
) -> tuple[Dataset, ...]:
    """The objects of one profile; where they cannot be made, a report that says so, since silence would not."""
    before = [_predecessor(each, analysis) for each in earlier[:2]]  # a report names one of these
    try:
        return encode(analysis, signed.headers, signed.equipment, signed.when, profile, before)
    except _REFUSED as error:
        _LOGGER.error(  # noqa: TRY400  # a traceback would quote messages, and they may quote the patient
            "Results cannot be made: %s; the report says so", type_and_place(error), extra={"action": "encoding_failed"}
        )
    return encode(_unreported(analysis), signed.headers, signed.equipment, signed.when, profile, before)


def _unreported(analysis: Analysis) -> Analysis:
    """The analysis with what could not be written failed, and the answers of classifiers kept."""
    reason = "found something, or not, and the result could not be written as DICOM; see the node's log"
    volumes = tuple(
        replace(
            each,
            runs=tuple(
                run
                if run.task is Task.CLASSIFICATION or run.outcome is not Outcome.COMPLETE
                else StageRun(run.stage, run.task, Outcome.FAILED, reason, run.algorithm)
                for run in each.runs
            ),
        )
        for each in analysis.volumes
    )
    return replace(analysis, volumes=volumes)


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
