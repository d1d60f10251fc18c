"""Which result objects a destination gets, and in what form: no single object shows in every viewer.

docs/viewers.md says of each named profile what it sends and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ResultKind(StrEnum):
    """What a result object is; the order is the sending order, so that nothing refers to what is yet to come."""

    SEGMENTATION = "seg"
    REPORT = "sr"
    PRESENTATION = "gsps"
    SNAPSHOT = "snapshot"
    HEAT_MAP = "heatmap"
    KEY_OBJECTS = "ko"
    DOCUMENT = "pdf"


class SegmentationForm(StrEnum):
    """How a Segmentation object stores its voxels (PS3.3 C.8.20.2)."""

    BINARY = "binary"
    #: SOP class of its own (Label Map Segmentation Storage), which many archives do not know.
    LABELMAP = "labelmap"
    #: Scores, not only yes or no; some viewers refuse it.
    FRACTIONAL = "fractional"


class ReportForm(StrEnum):
    """SOP class of the report. Its content is the same: outlines are 2-D (SCOORD), which both allow (PS3.3 A.35.3,
    A.35.13)."""

    #: What IHE AIR asks for.
    COMPREHENSIVE_3D = "comprehensive 3d"
    #: For a peer that refuses it.
    COMPREHENSIVE = "comprehensive"


class SegmentPer(StrEnum):
    """What one segment is."""

    LESION = "lesion"
    #: Everything of one label, by one algorithm.
    CLASS = "class"


class ReportWhen(StrEnum):
    """When a destination gets anything at all."""

    ALWAYS = "always"
    FOUND = "found"


@dataclass(frozen=True, slots=True)
class Profile:
    """What one destination gets. Two of one profile get the same objects, if they got the same reports before."""

    objects: frozenset[ResultKind]
    segmentation: SegmentationForm = SegmentationForm.BINARY
    segment_per: SegmentPer = SegmentPer.LESION
    omit_empty_frames: bool = True
    report: ReportWhen = ReportWhen.ALWAYS
    report_form: ReportForm = ReportForm.COMPREHENSIVE_3D

    @property
    def segmentation_settings(self) -> tuple[str, ...]:
        """What makes one SEG another one, as text for its UID; empty for a profile without."""
        if ResultKind.SEGMENTATION not in self.objects:
            return ()
        return self.segmentation, self.segment_per, "" if self.omit_empty_frames else "with empty frames"

    @property
    def report_settings(self) -> tuple[str, ...]:
        """What makes one report another one, as text for its UID; empty for the ordinary form."""
        return () if self.report_form is ReportForm.COMPREHENSIVE_3D else (self.report_form,)


_SR, _SEG, _GSPS = ResultKind.REPORT, ResultKind.SEGMENTATION, ResultKind.PRESENTATION
_SNAPSHOT = ResultKind.SNAPSHOT

#: Name in the configuration -> profile.
PROFILES: Mapping[str, Profile] = {
    "standard": Profile(frozenset({_SEG, _SR, _GSPS, _SNAPSHOT})),
    "ohif": Profile(frozenset({_SEG, _SR, _SNAPSHOT})),
    "weasis": Profile(frozenset({_SEG, _SR, _GSPS})),
    "snapshot-only": Profile(frozenset({_SNAPSHOT})),
    "everything": Profile(frozenset(ResultKind)),
}
STANDARD = PROFILES["standard"]
