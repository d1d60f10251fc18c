"""What every section of the configuration is: frozen, and without keys that nobody knows."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

#: A key of `peers`.
PeerName = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """Keys and values below one key of the file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, validate_by_name=True, validate_by_alias=True
    )
