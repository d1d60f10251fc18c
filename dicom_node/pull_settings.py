"""The configuration's `catch_up`: when which peers are asked for studies that never arrived."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from dicom_node.section import PeerName, Section


def _time_of_day(text: str) -> str:
    datetime.datetime.strptime(text, "%H:%M")  # a time of day has no zone, it is that of the machine
    return text


class CatchUpSection(Section):
    """A nightly question to peers for what they hold and the node does not."""

    #: `from` in the file, which Python keeps for itself. Nobody: what did not arrive is not asked for.
    peers: tuple[PeerName, ...] = Field(
        default=(), validation_alias="from", description="a list of peers", examples=["[PACS]"]
    )
    at: Annotated[str, AfterValidator(_time_of_day)] = Field(
        default="02:30",
        strict=True,
        pattern=r"^\d\d:\d\d$",
        description='a time of day from "00:00" to "23:59", in quotes',
        examples=['"02:30"'],
    )
    #: By Study Date: today and so many days before it.
    days: int = Field(default=2, strict=True, ge=1, le=366, description="a whole number from 1 to 366", examples=["2"])
    #: Empty: of every modality.
    modalities: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")], ...] = Field(
        default=(), description="a list of modalities, in capitals", examples=["[CT, MR]"]
    )
    #: Of each peer in one night.
    most_studies: int = Field(
        default=200, strict=True, ge=1, le=100000, description="a whole number from 1 to 100000", examples=["200"]
    )

    @property
    def time(self) -> datetime.time:
        """`at`, in the time zone of the machine."""
        return datetime.time.fromisoformat(self.at)
