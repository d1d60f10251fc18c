"""The content tree of a structured report (PS3.3 C.17.3), item by item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.sr.coding import Code

from sr_writer.checks.attributes import code_of, is_empty, text
from sr_writer.checks.problem import Sources


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A content item and its place: "1.12.2" is the second child of the root's twelfth."""

    dataset: Dataset
    position: str

    @property
    def name(self) -> tuple[str, str]:
        """(value, scheme) of the concept name."""
        return code_of(self.dataset, "ConceptNameCodeSequence")

    @property
    def value_type(self) -> str:
        """TEXT, CODE, NUM and so on."""
        return text(self.dataset, "ValueType")

    @property
    def relationship(self) -> str:
        """To its parent."""
        return text(self.dataset, "RelationshipType")

    def is_a(self, concept: Code) -> bool:
        """Whether its concept name is this one; the meaning does not count."""
        return self.name == (concept.value, concept.scheme_designator)

    def children(self, concept: Code | None = None, value_type: str = "", relationship: str = "") -> list[Item]:
        """Direct children; of that concept, value type and relationship where given."""
        numbered = enumerate(self.dataset.get("ContentSequence") or (), start=1)
        found = (Item(dataset, f"{self.position}.{number}") for number, dataset in numbered)
        return [
            each
            for each in found
            if (concept is None or each.is_a(concept))
            and value_type in ("", each.value_type)
            and relationship in ("", each.relationship)
        ]

    def descendants(self) -> Iterator[Item]:
        """Everything below it, depth first."""
        for child in self.children():
            yield child
            yield from child.descendants()

    def references(self) -> Iterator[Dataset]:
        """Items of Referenced SOP Sequence here."""
        yield from self.dataset.get("ReferencedSOPSequence") or ()


def root(dataset: Dataset) -> Item:
    """The document itself."""
    return Item(dataset, "1")


#: What an item of each value type must have (PS3.3 C.17.3.2, C.18).
_VALUES = {
    "TEXT": ("TextValue",),
    "CODE": ("ConceptCodeSequence",),
    "UIDREF": ("UID",),
    "IMAGE": ("ReferencedSOPSequence",),
    "COMPOSITE": ("ReferencedSOPSequence",),
    "CONTAINER": ("ContinuityOfContent",),
    "SCOORD": ("GraphicType", "GraphicData"),
    "SCOORD3D": ("GraphicType", "GraphicData", "ReferencedFrameOfReferenceUID"),
}


def content_items(dataset: Dataset, _: Sources) -> Iterator[str]:
    """Every item has its relationship, type, concept and value."""
    for item in root(dataset).descendants():
        where = f"content item {item.position}"
        for keyword in ("RelationshipType", "ValueType", *_VALUES.get(item.value_type, ())):
            if is_empty(item.dataset, keyword):
                yield f"{where}: {keyword} is missing or empty; it is Type 1 (C.17.3)"
        if item.name == ("", "") and item.value_type not in ("IMAGE", "COMPOSITE"):
            yield f"{where}: ConceptNameCodeSequence is missing or empty (C.17.3)"
        for reference in item.references():
            if any(is_empty(reference, each) for each in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")):
                yield f"{where}: a reference lacks its SOP class or its SOP instance (Table 10-11)"
