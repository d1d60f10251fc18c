"""Which checks belong to which kind of object."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset
from pydicom.uid import (
    ColorSoftcopyPresentationStateStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from sr_writer.checks.attributes import text
from sr_writer.checks.every_object import EVERY_OBJECT, SOP_COMMON
from sr_writer.checks.other_objects import ENCAPSULATED_PDF, KEY_OBJECT_SELECTION, PARAMETRIC_MAP, SECONDARY_CAPTURE
from sr_writer.checks.presentation import COLOUR_STATE, GREYSCALE_STATE
from sr_writer.checks.problem import Check, Problem, Sources
from sr_writer.checks.report import REPORT
from sr_writer.checks.segmentation import SEGMENTATION

_KINDS: Mapping[str, tuple[Check, ...]] = {
    Comprehensive3DSRStorage: REPORT,
    ComprehensiveSRStorage: REPORT,
    EnhancedSRStorage: REPORT,
    SegmentationStorage: SEGMENTATION,
    GrayscaleSoftcopyPresentationStateStorage: GREYSCALE_STATE,
    ColorSoftcopyPresentationStateStorage: COLOUR_STATE,
    SecondaryCaptureImageStorage: SECONDARY_CAPTURE,
    MultiFrameTrueColorSecondaryCaptureImageStorage: SECONDARY_CAPTURE,
    KeyObjectSelectionDocumentStorage: KEY_OBJECT_SELECTION,
    EncapsulatedPDFStorage: ENCAPSULATED_PDF,
    ParametricMapStorage: PARAMETRIC_MAP,
}


def is_result_kind(dataset: Dataset) -> bool:
    """Whether it is of a kind that the node makes; images and others have no checks of ours."""
    return text(dataset, "SOPClassUID") in _KINDS


def check_object(dataset: Dataset, sources: Sources) -> tuple[Problem, ...]:
    """Every problem of one result object; none for a kind that the node does not make, but it must be of some kind.

    `sources` maps SOP Instance UID to image headers. What needs an image that is not among them is not checked.
    """
    kind = text(dataset, "SOPClassUID")
    checks = (SOP_COMMON,) if not kind else (*EVERY_OBJECT, *_KINDS[kind]) if kind in _KINDS else ()
    return tuple(problem for check in checks for problem in check.problems(dataset, sources))
