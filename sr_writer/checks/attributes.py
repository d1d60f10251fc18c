"""Attributes that a module asks for, as tables of paths, and how a data set is held against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.dataelem import DataElement

from sr_writer.checks.problem import Check, Sources
from sr_writer.inheritance import INHERITED

#: Taken over from the images as they are, right or wrong; what is in them is for their source to mend.
FOREIGN = frozenset((*INHERITED, "BodyPartExamined", "ReferencedRequestSequence"))


@dataclass(frozen=True, slots=True)
class Module:
    """What an object must have, by module of PS3.3.

    A path names keywords from the outside in, "SegmentSequence/SegmentNumber": every item of the sequences on its way
    must have the last one. Where a sequence on the way is missing, that is told for the sequence, if it is listed.
    """

    #: Name of the check.
    name: str
    #: For the sentence: name and section of the standard.
    title: str
    #: Present, with a value.
    type_1: tuple[str, ...]
    #: Present, and empty where unknown.
    type_2: tuple[str, ...] = ()

    def check(self) -> Check:
        """The check that all of it is there."""
        return Check(self.name, self._missing)

    def _missing(self, dataset: Dataset, _: Sources) -> Iterator[str]:
        for path in self.type_1:
            if any(is_empty(item, keyword) for item, keyword in holders(dataset, path)):
                yield f"{path} is missing or empty; it is Type 1 in {self.title}"
        for path in self.type_2:
            if any(keyword not in item for item, keyword in holders(dataset, path)):
                yield f"{path} is missing; it is Type 2 in {self.title}: present, empty where unknown"


def holders(dataset: Dataset, path: str) -> Iterator[tuple[Dataset, str]]:
    """Every data set in which the last keyword of `path` belongs, with that keyword."""
    first, _, rest = path.partition("/")
    if not rest:
        yield dataset, first
        return
    for item in dataset.get(first) or ():
        yield from holders(item, rest)


def items(dataset: Dataset, path: str) -> Iterator[Dataset]:
    """Every item of the sequence at `path`."""
    for item, keyword in holders(dataset, path):
        yield from item.get(keyword) or ()


def is_empty(item: Dataset, keyword: str) -> bool:
    """Whether an attribute is absent, has no value, or is a sequence without items."""
    return keyword not in item or item[keyword].is_empty


def text(item: Dataset, keyword: str) -> str:
    """A value as text; empty where absent."""
    value = item.get(keyword)
    return "" if value is None else str(value)


def is_native(dataset: Dataset) -> bool:
    """Whether its pixels are written as they are, as far as the file meta information tells."""
    meta = getattr(dataset, "file_meta", None)
    return meta is None or "TransferSyntaxUID" not in meta or not meta.TransferSyntaxUID.is_compressed


def code_of(item: Dataset, keyword: str) -> tuple[str, str]:
    """(value, scheme) of the first code of a code sequence; empty where there is none."""
    codes = item.get(keyword) or ()
    return next(((text(code, "CodeValue"), text(code, "CodingSchemeDesignator")) for code in codes), ("", ""))


def own_elements(dataset: Dataset, path: str = "") -> Iterator[tuple[str, DataElement]]:
    """Every element that the node itself wrote, at any depth, with its path; what was inherited is left out."""
    for element in dataset:
        if not path and element.keyword in FOREIGN:
            continue
        name = f"{path}{element.keyword or element.tag}"
        yield name, element
        if element.VR == "SQ":
            for item in element.value:
                yield from own_elements(item, f"{name}/")
