"""A YAML file as values of which each knows its line, so that a fault can say where to look; it knows no key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dicom_node.domain.errors import Fault, SettingsError

#: Keys and list positions from the top of the document to a value.
KeyPath = tuple[str | int, ...]

#: How a fault names the document where no key is meant.
WHOLE_FILE = "the file"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written; `line` counts from 1 and is None outside of files."""

    source: str
    line: int | None = None


@dataclass(slots=True)
class Document:
    """The mapping at the top of a file, where each of its values was written, and what was wrong with its keys."""

    source: str
    values: dict[str, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def at(self, *keys: str) -> object:
        """The value under keys inside keys, or None."""
        value: object = self.values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def put(self, section: str, key: str, value: object, source: str) -> None:
        """Set one key of one section, as if it stood in the file."""
        held = self.values.setdefault(section, {})
        if isinstance(held, dict):  # otherwise the section is wrong as a whole, and told so
            held[key] = value
        inside = (section, key)
        self.places = {path: place for path, place in self.places.items() if path[:2] != inside}
        self.places.setdefault((section,), Place(source))
        self.places[inside] = Place(source)

    def fault(self, path: KeyPath, problem: str, remedy: str) -> Fault:
        """What is wrong at `path`: at its line, or at that of the nearest key around it."""
        around = (self.places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.places)
        place = next(around, Place(self.source))
        return Fault(place.source, place.line, dotted(path), problem, remedy)


def dotted(path: KeyPath) -> str:
    """`receive.from[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or WHOLE_FILE


def read_document(path: Path) -> Document:
    """Read a file. Raises SettingsError when no mapping can be had from it.

    A key that is no text or stands twice is a fault of the document that is returned, to be told with all others.
    """
    document = Document(str(path))
    node = _compose(path, document.source)
    if node is None:
        raise _unusable(document.source, None, "is empty", "write at least the sections node, peers, receive, deliver")
    if not isinstance(node, yaml.MappingNode):
        problem = f"expected sections such as `node:`, got {_in_words(node)}"
        raise _unusable(document.source, _line_of(node), problem, "begin it with `node:`")
    sections = _mapping(node, (), document)
    # a section of which every key is commented out says nothing, and that is no fault
    document.values = {key: {} if value is None else value for key, value in sections.items()}
    return document


def scalar(text: str) -> object:
    """What `text` means as a YAML value, as it would in a file. Raises yaml.YAMLError."""
    return yaml.safe_load(text)


def _compose(path: Path, source: str) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        remedy = "name a file that can be read; config/node.yaml is one to begin with"
        raise _unusable(source, None, f"cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise _unusable(source, None, f"is not UTF-8: {error.reason}", "save it as UTF-8 text") from error
    try:
        alias = next((token for token in yaml.scan(text, yaml.SafeLoader) if isinstance(token, yaml.AliasToken)), None)
        if alias is None:
            return yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax_error(source, error) from error
    line = alias.start_mark.line + 1
    raise _unusable(source, line, f"has the alias *{alias.value}", "write the value out; aliases are not followed")


def _syntax_error(source: str, error: yaml.YAMLError) -> SettingsError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    line = None if mark is None else mark.line + 1
    return _unusable(source, line, f"is not YAML: {problem}", "correct the syntax there or in the line above")


def _unusable(source: str, line: int | None, problem: str, remedy: str) -> SettingsError:
    return SettingsError((Fault(source, line, WHOLE_FILE, problem, remedy),))


def _value(node: yaml.Node, path: KeyPath, document: Document) -> object:
    document.places.setdefault(path, Place(document.source, _line_of(node)))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    try:
        value: object = yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        problem = f"cannot be read as {node.tag}: {getattr(error, 'problem', None) or error}"
        document.faults.append(document.fault(path, problem, "write plain text or a plain number"))
        return node.value
    return value


def _mapping(node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, object]:
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        key, here = key_node.value, Place(document.source, _line_of(key_node))
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            problem = f"expected text as a key, got {_in_words(key_node)}"
            document.faults.append(Fault(here.source, here.line, dotted(path), problem, "put the key in quotes"))
            continue
        inside = (*path, key)
        if key in values:
            problem = f"stands twice, first in line {document.places[inside].line}"
            document.faults.append(Fault(here.source, here.line, dotted(inside), problem, "remove one of the two"))
            continue
        document.places[inside] = here
        values[key] = _value(value_node, inside, document)
    return values


_NODES: Mapping[type[yaml.Node], str] = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}


def _in_words(node: yaml.Node) -> str:
    return _NODES.get(type(node)) or repr(node.value)


def _line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
