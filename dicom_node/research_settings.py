"""The configuration's `research`: who gets de-identified copies, of what, and how they are de-identified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from dicom_node.domain.research import CopyWish, ResearchOption
from dicom_node.network_settings import FilePath
from dicom_node.section import Section

_OPTIONS = ", ".join(ResearchOption)


def _folder_beside_the_file(to: str, info: ValidationInfo) -> str:
    return str(info.context / to) if "/" in to and info.context is not None else to


class ResearchSection(Section):
    """De-identified copies (PS3.15 Annex E), made after the results. Without this section there are none."""

    #: A name without a slash is a peer's.
    to: Annotated[str, AfterValidator(_folder_beside_the_file)] = Field(
        min_length=1, description="the name of a peer, or a folder (with a slash in it)", examples=["PACS"]
    )
    key_file: FilePath = Field(
        description="a file that `dicom-node research-key` made", examples=["/etc/dicom-node/research.key"]
    )
    options: frozenset[ResearchOption] = Field(
        default=frozenset({ResearchOption.MODIFIED_DATES}),
        description=f"a list of some of {_OPTIONS}",
        examples=["[modified-dates]"],
    )
    #: None: all.
    modalities: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")], ...] | None = Field(
        default=None, min_length=1, description="a list of values of Modality (0008,0060)", examples=["[CT, MR]"]
    )
    images: bool = Field(default=True, strict=True, description="true or false", examples=["true"])
    #: Segmentations; reports and pictures of screens are never copied.
    results: bool = Field(default=False, strict=True, description="true or false", examples=["false"])
    #: Pictures that have, or may have, a name drawn into them.
    annotated: Literal["leave out", "copy"] = Field(
        default="leave out", description="leave out or copy", examples=["leave out"]
    )

    @property
    def destination(self) -> Path | str:
        """The folder that copies are written to, or the name of the peer that they are sent to."""
        return Path(self.to) if "/" in self.to else self.to

    @property
    def wish(self) -> CopyWish:
        """What they are made of."""
        return CopyWish(self.images, self.results)
