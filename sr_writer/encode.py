"""An analysis to the DICOM objects that say it. Read this file first; each object has a module of its own."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping

from pydicom import Dataset

from inference.findings import Analysis
from sr_writer.described import describe
from sr_writer.presentation import can_be_presented, presentation_state
from sr_writer.provenance import Equipment, provenance_of
from sr_writer.report import report
from sr_writer.segmentation import can_be_segmented, segmentation

logger = logging.getLogger(__name__)


def encode(
    analysis: Analysis, sources: Mapping[str, Dataset], equipment: Equipment, when: datetime.datetime
) -> tuple[Dataset, ...]:
    """Result objects in sending order: SEG (one per volume with segments), SR (exactly one), GSPS (one per volume
    with segments or regions). A receiver has the SEG before the SR that refers to it, and never a GSPS without an SR.

    `sources` maps SOP Instance UID to the header of every image of the study, analysed or not, as read with
    `stop_before_pixels=True`. `when` is the start of the analysis, aware; a study that states a time zone
    (0008,0201) gets it in that zone, any other as it is.

    The objects carry file meta information for Explicit VR Little Endian and are ready for `dcmwrite`. The same
    arguments make the same bytes. Raises ValueError without any source, and for a finding that breaks the contract of
    `inference.findings`: without an algorithm, or without a pixel inside its image.
    """
    if when.tzinfo is None:
        raise ValueError("the start of the analysis has no time zone; pass an aware datetime")
    provenance = provenance_of(analysis, sources, equipment, when)
    volumes = describe(analysis, provenance)
    segmentations = {each.number: segmentation(each, provenance) for each in volumes if can_be_segmented(each)}
    states = [presentation_state(each, provenance) for each in volumes if can_be_presented(each)]
    document = report(analysis, volumes, segmentations, provenance)
    logger.info(
        "Encoded one report, %d segmentations and %d presentation states.",
        len(segmentations),
        len(states),
        extra={"action": "encode"},
    )
    return (*segmentations.values(), document, *states)
