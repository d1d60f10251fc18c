"""An analysis to the DICOM objects that say it. Read this file first; each object has a module of its own."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydicom import Dataset

from inference.findings import Analysis
from sr_writer.described import DescribedVolume, describe
from sr_writer.document import document
from sr_writer.key_objects import key_objects
from sr_writer.presentation import can_be_presented, presentation_states
from sr_writer.profiles import STANDARD, Profile, ReportWhen, ResultKind
from sr_writer.provenance import Equipment, Predecessor, Provenance, provenance_of
from sr_writer.report import report, report_uid
from sr_writer.segmentation import can_be_segmented, segmentation
from sr_writer.snapshot import heat_pictures, snapshots

logger = logging.getLogger(__name__)


def encode(
    analysis: Analysis,
    sources: Mapping[str, Dataset],
    equipment: Equipment,
    when: datetime.datetime,
    profile: Profile = STANDARD,
    earlier: Sequence[Predecessor] = (),
) -> tuple[Dataset, ...]:
    """Result objects of one profile in sending order: SEG, SR, presentation states, snapshots and so on as
    `ResultKind` has them. A receiver has the SEG before the SR that refers to it.

    Of what the profile names there is one report, one page, one key object selection; one SEG, presentation state and
    snapshot series for each volume with findings, one heat map for each answer that has one. Nothing at all where the
    profile wants findings only and there are none, unless there are earlier reports, which may have told some.

    `sources` maps SOP Instance UID to the header of every image of the study, analysed or not, as read with
    `stop_before_pixels=True`. `when` is the start of the analysis, aware; a study that states a time zone
    (0008,0201) gets it in that zone, any other as it is. `earlier` are the reports of earlier jobs, newest first: the
    newest is the predecessor, unless this analysis only repeats its job.

    The objects carry file meta information for Explicit VR Little Endian and are ready for `dcmwrite`. The same
    arguments make the same bytes. Raises ValueError without any source, and for a finding that breaks the contract of
    `inference.findings`: without an algorithm, or without a pixel inside its image.
    """
    if when.tzinfo is None:
        raise ValueError("the start of the analysis has no time zone; pass an aware datetime")
    found = any(run.segments or run.regions for run in analysis.runs)
    if profile.report is ReportWhen.FOUND and not found and not earlier:
        return ()
    provenance = provenance_of(analysis, sources, equipment, when)
    volumes = describe(analysis, provenance, profile.segment_per)
    segmentations = _segmentations(volumes, provenance, profile)
    predecessor = _predecessor(earlier, segmentations, provenance, profile)
    makers: Mapping[ResultKind, Callable[[], Iterable[Dataset]]] = {
        ResultKind.SEGMENTATION: segmentations.values,
        ResultKind.REPORT: lambda: [report(analysis, volumes, segmentations, provenance, predecessor, profile)],
        ResultKind.PRESENTATION: lambda: [
            each for v in volumes if can_be_presented(v) for each in presentation_states(v, provenance)
        ],
        ResultKind.SNAPSHOT: lambda: [each for v in volumes for each in snapshots(v, provenance)],
        ResultKind.HEAT_MAP: lambda: [each for v in volumes for each in heat_pictures(v, provenance)],
        ResultKind.KEY_OBJECTS: lambda: [key_objects(volumes, provenance)] if any(v.findings for v in volumes) else [],
        ResultKind.DOCUMENT: lambda: [document(analysis, volumes, provenance, predecessor)],
    }
    made = {kind: tuple(makers[kind]()) for kind in ResultKind if kind in profile.objects}
    counts = ", ".join(f"{len(objects)} {kind}" for kind, objects in made.items())
    logger.info("Encoded %s.", counts, extra={"action": "encode"})
    return tuple(each for objects in made.values() for each in objects)


def _predecessor(
    earlier: Sequence[Predecessor], segmentations: Mapping[int, Dataset], provenance: Provenance, profile: Profile
) -> Predecessor | None:
    if not earlier:
        return None
    newest, before = earlier[0], next(iter(earlier[1:]), None)
    # the same analysis after the same predecessor makes the same report again
    return before if report_uid(segmentations, provenance, before, profile) == newest.sop_instance_uid else newest


def _segmentations(volumes: Sequence[DescribedVolume], provenance: Provenance, profile: Profile) -> dict[int, Dataset]:
    """A volume's number -> its SEG."""
    if ResultKind.SEGMENTATION not in profile.objects:
        return {}
    return {each.number: segmentation(each, provenance, profile) for each in volumes if can_be_segmented(each)}
