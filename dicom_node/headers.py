"""Headers of images in two forms: as pydicom has them, and as a plain file's own, of which only what reading looks at
has been converted; and who may ask which of the two for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread


@dataclass(frozen=True, slots=True, eq=False)
class PlainHeader:
    """The header of one uncompressed grey image, from a file that was parsed without pydicom."""

    #: Keyword -> value of every element that reading looks at, as pydicom converts it; None: it is absent.
    values: Mapping[str, Any]
    #: The file up to its pixels.
    content: bytes

    def get(self, keyword: str) -> Any:  # noqa: ANN401 (what a value is depends on its VR)
        """The value, or None. Raises KeyError for what reading does not look at: it has not been converted."""
        return self.values[keyword]

    def parsed(self) -> Dataset:
        """All of it, with its file meta information, as pydicom reads it."""
        return dcmread(BytesIO(self.content))


Header = Dataset | PlainHeader


def parsed(header: Header) -> Dataset:
    """All of a header, with its file meta information."""
    return header.parsed() if isinstance(header, PlainHeader) else header
