"""Every key of the configuration with its meaning, its default and its value: read off the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dicom_node.settings import Settings

#: Paths belong to one machine; a statement is read on others.
_PATH = "(a path)"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key."""

    key: str
    #: What may stand there.
    allowed: str
    default: str
    value: str


def parameters(settings: Settings) -> tuple[Parameter, ...]:
    """Every key, sections in the order of the file."""
    return tuple(_of(settings, ""))


def _of(section: BaseModel, prefix: str) -> Iterator[Parameter]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = f"{prefix}{field.validation_alias or name}"
        if isinstance(value, BaseModel):
            yield from _of(value, f"{key}.")
        elif isinstance(value, dict) and all(isinstance(each, BaseModel) for each in value.values()):
            for inner, each in value.items():
                yield from _of(each, f"{key}.{inner}.")
        else:
            has_default = field.default is not PydanticUndefined
            default = _shown(field.default) if has_default else "required"
            yield Parameter(key, field.description or "", default, _shown(value))


def _shown(value: object) -> str:
    if isinstance(value, Path):
        return _PATH
    if isinstance(value, tuple | list):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value is None else str(value)
