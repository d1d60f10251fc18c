"""Pydantic's errors as faults: where the value stands, what was expected there, and what to write instead.

What is expected at a key is the `description` of its field, what to write the first of its `examples`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dicom_node.config_file import Document, KeyPath
from dicom_node.domain.errors import Fault

_LONGEST_SHOWN = 60


def faults_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Fault]:
    """One fault for each of the errors that validating `document` as `model` gave."""
    return [_fault(details, model, document) for details in error.errors(include_url=False)]


def choice(wrong: str, known: Iterable[str]) -> str:
    """A remedy for a name that does not exist: what was probably meant, and what there is."""
    names = sorted(known)
    meant = difflib.get_close_matches(wrong.lower(), [name.lower() for name in names], n=1)
    guess = next((f"did you mean {name}? " for name in names if [name.lower()] == meant), "")
    return f"{guess}known: {', '.join(names) or 'none'}"


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a section as they are written in a file."""
    return {str(field.validation_alias or name): field for name, field in model.model_fields.items()}


def _fault(details: ErrorDetails, model: type[BaseModel], document: Document) -> Fault:
    located: KeyPath = details["loc"]
    path = _as_written(model, located)
    if details["type"] == "extra_forbidden":
        return document.fault(path, "unknown key", choice(str(path[-1]), keys_of(_model_at(model, located[:-1]))))
    expected, example = _expectation(model, located)
    if details["type"] == "missing":
        return document.fault(path, f"missing; expected {expected}", f"add for example `{path[-1]}: {example}`")
    return document.fault(path, f"expected {expected}, got {_shown(details['input'])}", f"write for example {example}")


def _expectation(model: type[BaseModel], path: KeyPath) -> tuple[str, str]:
    annotation, field = _walk(model, path)
    section = _section(annotation)
    if section is not None:
        keys = keys_of(section)
        needed = {key: inner for key, inner in keys.items() if inner.is_required()} or keys
        example = ", ".join(f"{key}: {_example(inner)}" for key, inner in needed.items())
        return f"a section with the keys {', '.join(keys)}", f"{{{example}}}"
    return (field.description or "a value", _example(field)) if field is not None else ("a mapping", "node:")


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    return _section(_walk(model, path)[0]) or model


def _walk(model: type[BaseModel], path: KeyPath) -> tuple[object, FieldInfo | None]:
    """What the model says about the value at `path`: its type, and the field it belongs to."""
    annotation: object = model
    field: FieldInfo | None = None
    for part in path:
        section, kinds = _section(annotation), _kinds(annotation)
        if kinds:
            annotation = kinds[str(part)]
        elif section is not None:
            field = keys_of(section)[str(part)]
            annotation = field.annotation
        else:  # tuple[T, ...] and dict[str, T] say what is in them
            annotation = get_args(annotation)[1 if get_origin(annotation) is dict else 0]
    return annotation, field


def _as_written(model: type[BaseModel], located: KeyPath) -> KeyPath:
    """The path without the tags that pydantic puts in where a value may be a section of several kinds."""
    return tuple(part for index, part in enumerate(located) if not _kinds(_walk(model, located[:index])[0]))


def _kinds(annotation: object) -> dict[str, object]:
    """Of a value that may be a section of several kinds: these, by their tags; otherwise nothing."""
    if get_origin(annotation) is not Annotated:
        return {}
    members = [get_args(member) for member in get_args(get_args(annotation)[0])]
    return {each.tag: kind for kind, *metadata in members for each in metadata if isinstance(each, Tag)}


def _section(annotation: object) -> type[BaseModel] | None:
    """The section that this is, or that it may be instead of null."""
    choices = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _example(field: FieldInfo) -> str:
    return str(field.examples[0]) if field.examples else "..."


def _shown(value: object) -> str:
    """A value in few words, as it was written."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
