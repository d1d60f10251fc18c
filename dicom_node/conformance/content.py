"""What the report says and how: its content tree, its templates, every code, the character sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.sr.coding import Code

from dicom_node.conformance.specimens import FOREIGN_SCHEME
from sr_writer import codes
from sr_writer.created import TEMPLATES, Template

#: Different values of one content item that are shown.
_MOST_VALUES = 4
#: Where a code comes from that stands in no table of this node.
WRITTEN_BY_LIBRARY = "(template)"


@dataclass(frozen=True, slots=True)
class ContentItem:
    """One kind of content item of the report, at one place of its tree."""

    depth: int
    #: To the item above; empty for the root.
    relationship: str
    value_type: str
    concept: str
    #: Codes, units or graphic types as observed.
    values: str


@dataclass(frozen=True, slots=True)
class Concept:
    """One code that the node writes, and the tables it comes from."""

    scheme: str
    value: str
    meaning: str
    tables: str


@dataclass(slots=True)
class _Kind:
    """Content items alike in all but their values: what they had as values, and the kinds below them."""

    relationship: str
    value_type: str
    concept: str
    values: dict[str, None] = field(default_factory=dict)
    below: dict[tuple[str, str, str], _Kind] = field(default_factory=dict)

    def is_like(self, other: _Kind) -> bool:
        """Whether only concept and values tell the two apart, and both have the same items below."""
        here, there = (self.relationship, self.value_type), (other.relationship, other.value_type)
        return here == there and bool(self.below) and self.below.keys() == other.below.keys()


def content_tree(document: Dataset) -> tuple[ContentItem, ...]:
    """Every kind of item once, in the order of the document; siblings that ask different questions are one row."""
    root = _Kind("", str(document.ValueType), in_words(document.ConceptNameCodeSequence[0]))
    _gather(document, root)
    return tuple(_rows(root, 0))


def _gather(item: Dataset, kind: _Kind) -> None:
    value = _value(item)
    if value:
        kind.values[value] = None
    for child in item.get("ContentSequence", []):
        key = (str(child.RelationshipType), str(child.ValueType), in_words(child.ConceptNameCodeSequence[0]))
        _gather(child, kind.below.setdefault(key, _Kind(*key)))


def _rows(kind: _Kind, depth: int) -> Iterator[ContentItem]:
    values = list(kind.values)
    more = ", ..." if len(values) > _MOST_VALUES else ""
    told = ", ".join(values[:_MOST_VALUES]) + more
    yield ContentItem(depth, kind.relationship, kind.value_type, kind.concept, told)
    for child in _merged(list(kind.below.values())):
        yield from _rows(child, depth + 1)


def _merged(kinds: list[_Kind]) -> list[_Kind]:
    merged: list[_Kind] = []
    for kind in kinds:
        like = next((each for each in merged if each.is_like(kind)), None)
        if like is None:
            merged.append(kind)
            continue
        like.concept = f"{like.concept} or {kind.concept}"
        like.values |= kind.values
    return merged


def _value(item: Dataset) -> str:
    match item.ValueType:
        case "CODE":
            return in_words(item.ConceptCodeSequence[0])
        case "NUM":
            return f"in {item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue}"
        case "SCOORD":
            return str(item.GraphicType)
        case _:
            return ""


def in_words(item: Dataset) -> str:
    """A code sequence item as PS3.16 writes codes."""
    if item.CodingSchemeDesignator == FOREIGN_SCHEME:
        return "a code copied from the images"
    return f'({item.CodeValue}, {item.CodingSchemeDesignator}, "{item.CodeMeaning}")'


def declared_templates(document: Dataset) -> frozenset[str]:
    """Template identifiers that the report states (0040,DB00)."""
    below = {number for child in document.get("ContentSequence", []) for number in declared_templates(child)}
    return frozenset(below | {str(each.TemplateIdentifier) for each in document.get("ContentTemplateSequence", [])})


def used_templates(document: Dataset) -> tuple[Template, ...]:
    """The templates of the table whose first concept occurs in the report."""
    begins = {(code.value, code.scheme_designator) for code in _codes_in(document)}
    return tuple(template for template in TEMPLATES if template.begins_with in begins)


def _codes_in(dataset: Dataset) -> Iterator[Code]:
    """Every code in an object, copied ones apart."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            if "CodeValue" not in item:
                yield from _codes_in(item)
            elif item.CodingSchemeDesignator != FOREIGN_SCHEME:
                yield Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def concepts(objects: Iterable[Dataset]) -> tuple[Concept, ...]:
    """Every code of `sr_writer.codes` with its names there, and every other one in the objects."""
    names: dict[Code, list[str]] = {}
    for name, code in _codes_by_name():
        names.setdefault(code, []).append(name)
    for code in (each for made in objects for each in _codes_in(made)):
        names.setdefault(code, [WRITTEN_BY_LIBRARY])
    rows = (
        Concept(code.scheme_designator, code.value, code.meaning, ", ".join(dict.fromkeys(tables)))
        for code, tables in names.items()
    )
    return tuple(sorted(rows, key=lambda row: (row.scheme, row.value)))


def _codes_by_name() -> Iterator[tuple[str, Code]]:
    for name, value in vars(codes).items():
        words = name.lower().replace("_", " ")
        if isinstance(value, Code):
            yield words, value
        elif isinstance(value, Mapping) and not name.startswith("_"):
            for each in value.values():
                code = each.concept if isinstance(each, codes.BodyRegion) else each
                if isinstance(code, Code):
                    yield words, code


def character_sets_read() -> tuple[str, ...]:
    """Defined terms of Specific Character Set (0008,0005) whose texts are decoded."""
    return tuple(sorted(term for term in python_encoding if term))
