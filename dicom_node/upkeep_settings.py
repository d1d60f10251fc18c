"""The configuration's upkeep: how long studies stay, and what is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dicom_node.section import Section


class RetainSection(Section):
    """How long studies that are done with stay. None: until a person removes them."""

    days: Annotated[float, Field(strict=True, gt=0, le=36525)] | None = Field(
        default=None, description="days, above 0 and up to 36525, or null for no limit", examples=["31"]
    )
    #: Of 10^9 bytes: what was received, made, and set aside, of all studies together.
    maximum_gb: Annotated[float, Field(strict=True, gt=0, le=1e6)] | None = Field(
        default=None, description="gigabytes, above 0 and up to 1000000, or null for no limit", examples=["500"]
    )


class LogSection(Section):
    """What is told about it."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error", examples=["info"]
    )
