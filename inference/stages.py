"""The cascade's table as it stands in config/cascade.yaml; importable without torch, so that it is checked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from inference.findings import Task

#: Under `when`: whatever the answer was, as long as there was one.
ANY = "*"


class CascadeError(ValueError):
    """A cascade file that cannot be followed."""


class HeaderRule(BaseModel):
    """How a stage's answer is held against the header: which attribute, and which of its terms mean which class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: Literal["modality", "body_part", "plane"]
    #: Class -> the attribute's terms for it; a class without an entry is its own term.
    terms: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    #: Terms that say nothing definite.
    indefinite: tuple[str, ...] = ()


class Stage(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    #: NAME asks the active version of a package, NAME@VERSION that one.
    package: str
    question: str
    when: dict[str, str] = Field(default_factory=dict)
    #: It runs and is recorded; nothing of it is sent, and no other stage waits for it.
    shadow: bool = False
    header: HeaderRule | None = None

    @model_validator(mode="after")
    def _only_classes_are_stated(self) -> Stage:
        if self.header is not None and self.task is not Task.CLASSIFICATION:
            raise ValueError(f"stage {self.name!r}: a header is held against a classification, not a {self.task}")
        return self


class Cascade(BaseModel):
    """The whole table, and which answer leads on where header and pixels disagree: either's, or neither's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefer: Literal["pixels", "header", "agree"] = "pixels"
    stages: tuple[Stage, ...] = Field(min_length=1)

    @property
    def shadows(self) -> frozenset[str]:
        """Names of the stages in shadow."""
        return frozenset(stage.name for stage in self.stages if stage.shadow)

    @property
    def packages(self) -> tuple[str, ...]:
        """What the stages ask for, each once."""
        return tuple(dict.fromkeys(stage.package for stage in self.stages))

    @model_validator(mode="after")
    def _refers_backwards(self) -> Cascade:
        known: set[str] = set()
        for stage in self.stages:
            unknown = set(stage.when) - known
            if unknown:
                raise ValueError(f"stage {stage.name!r} waits for {sorted(unknown)}, which no earlier stage is called")
            if stage.name in known:
                raise ValueError(f"two stages are called {stage.name!r}")
            known.add(stage.name)
        for stage in self.stages:
            in_shadow = self.shadows & set(stage.when)
            if in_shadow:
                raise ValueError(f"stage {stage.name!r} waits for {sorted(in_shadow)}, which runs in shadow")
        return self


def load_cascade(path: Path) -> Cascade:
    """Read a cascade file. Raises CascadeError with what is wrong and where."""
    try:
        return Cascade.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise CascadeError(f"{path}: {'; '.join(map(_in_words, error.errors()))}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CascadeError(f"{path}: cannot be read: {error}") from error


def _in_words(error: ErrorDetails) -> str:
    """`stages.2.task: what is wrong`."""
    place = ".".join(str(part) for part in error["loc"]) or "the file"
    return f"{place}: {error['msg']}"
