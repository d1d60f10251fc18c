"""The cascade's table as it stands in config/cascade.yaml; importable without torch, so that it is checked at once."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.findings import Task


class CascadeError(ValueError):
    """A cascade file that cannot be followed."""


class Stage(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    package: str
    question: str
    when: dict[str, str] = Field(default_factory=dict)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _refers_backwards(self) -> _Table:
        known: set[str] = set()
        for stage in self.stages:
            unknown = set(stage.when) - known
            if unknown:
                raise ValueError(f"stage {stage.name!r} waits for {sorted(unknown)}, which no earlier stage is called")
            if stage.name in known:
                raise ValueError(f"two stages are called {stage.name!r}")
            known.add(stage.name)
        return self


def load_cascade(path: Path) -> tuple[Stage, ...]:
    """Read a cascade file. Raises CascadeError with what is wrong and where."""
    try:
        return _Table.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).stages
    except (OSError, ValidationError, yaml.YAMLError) as error:
        raise CascadeError(f"{path}: {error}") from error
