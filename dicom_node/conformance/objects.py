"""Attributes of every object the node creates: module, type, presence, where the value comes from.

All of it is read off specimens; modules and types are the standard's, as highdicom carries them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom import DataElement, Dataset
from pydicom.uid import UID

from dicom_node.conformance.specimens import INFLUENCES, Specimen, make
from sr_writer.created import CREATED_KINDS, CreatedKind

#: Described elsewhere in the statement: the content tree of the report.
_ELSEWHERE = {"ContentSequence"}
_LONGEST_VALUE = 48
_COPY = "COPY"
_COPY_OR_ELSE = "COPY; AUTO where the images have none"
_NO_MODULE = "further attributes"

#: Keywords from the top of an object down to an attribute, through the first item of each sequence.
AttributePath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a created object."""

    depth: int
    name: str
    tag: str
    vr: str
    #: 1, 1C, 2, 2C or 3 (PS3.5 7.4); empty where the standard's tables, as known here, have none.
    type: str
    #: ALWAYS, VNAP, ANAP or EMPTY (PS3.2).
    presence: str
    #: COPY, AUTO, CONFIG or FIXED, with what it depends on, or the value.
    source: str


@dataclass(frozen=True, slots=True)
class Module:
    """The attributes of one module that an object has."""

    name: str
    usage: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class CreatedIod:
    """One kind of object: its row in the table of kinds, and its modules in the order of the IOD."""

    kind: CreatedKind
    name: str
    transfer_syntax: str
    modules: tuple[Module, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """One kind of object: of the plain specimen, of one with bare images, and with one thing changed each."""

    image: Dataset
    bare_image: Dataset
    plain: Dataset
    bare: Dataset
    varied: Mapping[str, Dataset]


@dataclass(frozen=True, slots=True)
class Observed:
    """An image with all attributes and one without optional ones; by SOP Class UID the results of all specimens."""

    image: Dataset
    bare_image: Dataset
    plain: Mapping[str, Dataset]
    bare: Mapping[str, Dataset]
    varied: Mapping[str, Mapping[str, Dataset]]

    def of(self, sop_class_uid: str) -> _Made:
        """One kind of object. Raises KeyError when a specimen did not make it."""
        varied = {what: results[sop_class_uid] for what, results in self.varied.items()}
        plain, bare = self.plain[sop_class_uid], self.bare[sop_class_uid]
        return _Made(self.image, self.bare_image, plain, bare, varied)


@cache
def observe() -> Observed:
    """Encode all specimens; the results are for reading only."""
    images, plain = make(Specimen())
    bare_images, bare = make(Specimen(bare=True))
    return Observed(
        image=next(iter(images.values())),
        bare_image=next(iter(bare_images.values())),
        plain=plain,
        bare=bare,
        varied={what: make(specimen)[1] for what, specimen in INFLUENCES.items()},
    )


def created_iods(observed: Observed) -> tuple[CreatedIod, ...]:
    """Every kind that the node creates. Raises KeyError for a kind that no specimen makes."""
    return tuple(_created_iod(kind, observed) for kind in CREATED_KINDS)


def _created_iod(kind: CreatedKind, observed: Observed) -> CreatedIod:
    made = observed.of(kind.sop_class_uid)
    iod = get_sop_class_iod_map()[kind.sop_class_uid]
    modules = [(str(each["key"]), str(each["usage"])) for each in get_iod_module_map()[iod]]
    attributes: dict[str, list[Attribute]] = {key: [] for key, _ in modules}
    attributes[_NO_MODULE] = []
    for element in made.plain:
        types = {key: _types(key) for key, _ in modules}
        home = next((key for key, _ in modules if (element.keyword,) in types[key]), _NO_MODULE)
        attributes[home].extend(_attributes(made, (element.keyword,), types.get(home, {})))
    return CreatedIod(
        kind=kind,
        name=UID(kind.sop_class_uid).name,
        transfer_syntax=made.plain.file_meta.TransferSyntaxUID,
        modules=tuple(
            Module(_title(key), usage, tuple(attributes[key]))
            for key, usage in (*modules, (_NO_MODULE, ""))
            if attributes[key]
        ),
    )


def _types(module: str) -> dict[AttributePath, str]:
    """Path -> type of every attribute of a module of the standard."""
    return {(*each["path"], each["keyword"]): str(each["type"]) for each in get_module_attribute_map()[module]}


def _title(module: str) -> str:
    words = module.replace("-", " ").title()
    return words.replace("Sr ", "SR ").replace("Sop ", "SOP ").replace("Voi Lut", "VOI LUT").replace(" Lut", " LUT")


def _attributes(made: _Made, path: AttributePath, types: Mapping[AttributePath, str]) -> Iterator[Attribute]:
    """The attribute at `path`, and those of the first item below it unless they are copied or a code."""
    element = _at(made.plain, path)
    if element is None:
        return
    source = _source(made, path, element)
    yield Attribute(
        depth=len(path) - 1,
        name=element.name,
        tag=f"({element.tag.group:04X},{element.tag.element:04X})",
        vr=element.VR,
        type=types.get(path, ""),
        presence=_presence(made, path, element),
        source=source,
    )
    if element.VR != "SQ" or element.keyword in _ELSEWHERE or source in (_COPY, _COPY_OR_ELSE) or not element.value:
        return
    if "CodeValue" not in element.value[0]:
        for child in element.value[0]:
            yield from _attributes(made, (*path, child.keyword), types)


def _presence(made: _Made, path: AttributePath, plain: DataElement) -> str:
    """In what of all objects it is, and with a value; where a sequence is absent, its items do not count."""
    above = [other for other in (made.bare, *made.varied.values()) if len(path) == 1 or _at(other, path[:-1])]
    others = [_at(other, path) for other in above]
    if None in others:
        return "ANAP"
    empty = [each.is_empty for each in (plain, *others) if each is not None]
    return "EMPTY" if all(empty) else "VNAP" if any(empty) else "ALWAYS"


def _source(made: _Made, path: AttributePath, element: DataElement) -> str:
    influences = [what for what, varied in made.varied.items() if _at(varied, path) != element]
    if "images" not in influences and _at(made.bare, path) not in (None, element):
        influences.insert(0, "images")
    if "images" in influences and any(each == element for each in made.image.iterall()):
        has_always = element.keyword in made.bare_image or _at(made.bare, path) is None
        return _COPY if has_always else _COPY_OR_ELSE
    if element.keyword in _ELSEWHERE:
        return "AUTO: see the content tree"
    if not influences:
        return "" if element.is_empty else f"FIXED: {_shown(element)}"
    if influences == ["configuration"]:
        return "CONFIG: node.ae_title"
    if len(influences) == len(made.varied):
        return "AUTO: everything named above"
    return f"AUTO: {', '.join(influences)}"


def _shown(element: DataElement) -> str:
    """A value for a table."""
    if element.VR == "SQ":
        item = element.value[0]
        if "CodeValue" in item:
            return f'({item.CodeValue}, {item.CodingSchemeDesignator}, "{item.CodeMeaning}")'
        return "see its item"
    if isinstance(element.value, bytes):
        return f"{len(element.value)} bytes"
    text = "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _at(dataset: Dataset, path: AttributePath) -> DataElement | None:
    """The element at a path through first items; None where it is not."""
    for keyword in path[:-1]:
        items = dataset.get(keyword)
        if not items:
            return None
        dataset = items[0]
    if path[-1] not in dataset:
        return None
    return dataset[path[-1]]
