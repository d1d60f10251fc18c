"""The configuration's `deliver`: who gets results, which objects, in what form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from dicom_node.section import PeerName, Section
from sr_writer.profiles import PROFILES, Profile, ReportWhen, ResultKind, SegmentationForm, SegmentPer

_KINDS = ", ".join(ResultKind)


class DestinationSection(Section):
    """One peer that gets results. Its name alone means the standard profile."""

    peer: PeerName = Field(description="the name of a peer", examples=["PACS"])
    profile: Literal["standard", "ohif", "weasis", "snapshot-only", "everything"] = Field(
        default="standard", description=f"one of {', '.join(PROFILES)}", examples=["standard"]
    )
    #: None: those of the profile.
    objects: tuple[ResultKind, ...] | None = Field(
        default=None, min_length=1, description=f"a list of some of {_KINDS}", examples=["[sr, seg, gsps]"]
    )
    segmentation: SegmentationForm = Field(
        default=SegmentationForm.BINARY, description="binary, labelmap or fractional", examples=["binary"]
    )
    segment_per: SegmentPer = Field(default=SegmentPer.LESION, description="lesion or class", examples=["lesion"])
    omit_empty_frames: bool = Field(default=True, strict=True, description="true or false", examples=["true"])
    report: ReportWhen = Field(default=ReportWhen.ALWAYS, description="always or found", examples=["always"])

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        return {"peer": value} if isinstance(value, str) else value

    @property
    def wanted(self) -> Profile:
        """What the peer gets."""
        return Profile(
            objects=PROFILES[self.profile].objects if self.objects is None else frozenset(self.objects),
            segmentation=self.segmentation,
            segment_per=self.segment_per,
            omit_empty_frames=self.omit_empty_frames,
            report=self.report,
        )


class DeliverSection(Section):
    """Who gets the results. Nobody, `to: []`: they stay in the storage folder."""

    to: tuple[DestinationSection, ...] = Field(description="a list of peers", examples=["[PACS]"])
    #: What a peer cannot take now is tried for so long, counted from the first failure.
    give_up_after_hours: float = Field(
        default=72.0, strict=True, gt=0, le=8784, description="hours, above 0 and up to 8784", examples=["72"]
    )

    @property
    def peers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(destination.peer for destination in self.to)

    @property
    def profiles(self) -> Mapping[Profile, tuple[str, ...]]:
        """Profile -> the peers that get it; the standard one for nobody where there is nobody."""
        profiles: dict[Profile, tuple[str, ...]] = {}
        for destination in self.to:
            profiles[destination.wanted] = (*profiles.get(destination.wanted, ()), destination.peer)
        return profiles or {PROFILES["standard"]: ()}
