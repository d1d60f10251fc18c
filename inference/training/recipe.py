"""A recipe: everything that decides what a training makes, in one YAML file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from inference.cards import DataSource, OperatingPoint, Preparation
from inference.findings import Task

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


class RecipeError(ValueError):
    """A recipe that cannot be followed; says which key and why."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Record):
    """One head: which column of labels.csv answers it, for which rows."""

    classes: tuple[str, ...] = Field(min_length=1)
    #: Empty where the layout has no columns.
    column: str = ""
    #: Only rows with these values are asked.
    where: dict[str, str] = Field(default_factory=dict)
    #: Values of the column that are none of the classes: trained towards "no idea".
    outside: tuple[str, ...] = ()


class Augmentation(_Record):
    """How far a training picture may differ from its original."""

    rotate_degrees: float = 15.0
    scale: float = 0.15
    shift: float = 0.06
    flip: float = Field(default=0.5, ge=0, le=1)
    quarter_turns: float = Field(default=0.0, ge=0, le=1)
    gamma: float = 0.35
    contrast: float = 0.2
    brightness: float = 0.1
    blur: float = Field(default=0.2, ge=0, le=1)
    noise: float = 0.03


class Phase(_Record):
    """A stretch of epochs at one input size; the learning rate falls over all phases together."""

    size: int
    epochs: int
    batch: int
    learning_rate: float


class Phantoms(_Record):
    """Generated pictures mixed in, so that the demo's studies are part of the model's world."""

    pictures: int = 0
    #: Generated pictures of nothing the cascade knows.
    outside: int = 0


class Data(_Record):
    """Where the pictures are and what they are."""

    #: Name of a layout of data sets; see docs/data-sets.md.
    layout: str
    root: Path
    #: Pictures drawn per epoch; 0 takes every picture once.
    per_epoch: int = 0
    phantoms: Phantoms = Phantoms()
    sources: tuple[DataSource, ...]


class Recipe(_Record):
    """Read with `load_recipe`."""

    name: str
    version: str
    manufacturer: str
    task: Task
    architecture: str
    seed: int
    #: Folder of another training, whose best network this one begins with; what does not fit, new heads for
    #: instance, begins anew. None: everything does.
    start_from: Path | None = None
    questions: dict[str, Question]
    preparation: Preparation
    operating_point: OperatingPoint = OperatingPoint()
    planes: tuple[str, ...] = ()
    data: Data
    augmentation: Augmentation = Augmentation()
    phases: tuple[Phase, ...] = Field(min_length=1)
    weight_decay: float = 0.02
    #: Judged and kept is the moving average of the weights with this decay per batch; 0: the weights themselves.
    averaging: float = Field(default=0.0, ge=0, lt=1)
    #: A phase ends when its score has not risen for so many epochs; 0: never early.
    patience: int = Field(default=0, ge=0)
    #: What the card says of itself.
    intended_use: str
    inputs: str = ""
    limitations: tuple[str, ...]
    known_failures: tuple[str, ...] = ()
    licence: str

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Classes per question, as the network is built."""
        return {name: question.classes for name, question in self.questions.items()}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; `${NAME:-default}` in its text takes an environment variable. Raises RecipeError."""
    try:
        text = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[2]), path.read_text(encoding="utf-8"))
        return Recipe.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:  # not text, not YAML, or not a recipe
        raise RecipeError(f"{path}: {error}") from error
