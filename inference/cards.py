"""The card of a model package: what it answers, how its input is made, what it was trained on, how good it was.

Importable without torch, so that `dicom-node models` answers at once.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from inference.findings import Task

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preparation(_Record):
    """How pixels become network input."""

    #: Side of the square input in pixels.
    size: int = Field(gt=0)
    #: Whether the header's VOI window is applied first. A stack without one is scaled by percentiles alone.
    use_window: bool
    #: Percentiles of the whole stack that become 0 and 1.
    lower_percentile: float = Field(default=0.5, ge=0, lt=50)
    upper_percentile: float = Field(default=99.5, gt=50, le=100)
    #: A median filter against noise.
    denoise: bool = False
    #: Contrast evened tile by tile (CLAHE), so that no tile's grows more than this; 0: as it is.
    equalise: float = Field(default=0.0, ge=0)
    #: Strength of the edges as a second channel.
    edges: bool = False
    mean: float = 0.5
    std: float = Field(default=0.25, gt=0)

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 2 if self.edges else 1


class OperatingPoint(_Record):
    """Where scores become answers; chosen on validation data."""

    #: Per question: what its logits are divided by, so that scores are as often right as they say (Guo et al., 2017).
    temperature: dict[str, float] = Field(default_factory=dict)
    #: Per question: a best score below this is "outside the model's world".
    minimum_score: dict[str, float] = Field(default_factory=dict)
    #: A voxel above this belongs to a lesion; a box above this is one.
    threshold: float = Field(default=0.5, gt=0, lt=1)
    #: A lesion below this volume is not reported; in mL, or in pixels where the spacing is unknown.
    minimum_volume_ml: float = Field(default=0.0, ge=0)
    minimum_pixels: int = Field(default=0, ge=0)
    #: Of two boxes on one slice that overlap more than this (intersection over union), the better one counts.
    overlap: float = Field(default=0.45, gt=0, le=1)


class Labels(_Record):
    """Where a table of labels has the truths of a question."""

    column: str
    #: Only rows with these values are asked.
    where: dict[str, str] = Field(default_factory=dict)


class DataSource(_Record):
    """Pictures the weights have seen, and under which terms."""

    name: str
    pictures: int
    terms: str


class Training(_Record):
    """Where the weights come from."""

    recipe: str
    date: str
    sources: tuple[DataSource, ...]


class Card(_Record):
    """Everything about a model package that is not a weight."""

    name: str
    version: str
    manufacturer: str
    task: Task
    architecture: str
    #: Classes per question, in the order of the network's outputs.
    questions: dict[str, tuple[str, ...]]
    #: Per question that a table of labels can answer; for evaluation.
    labels: dict[str, Labels] = Field(default_factory=dict)
    preparation: Preparation
    operating_point: OperatingPoint
    #: Planes of the stacks it is made for (axial, coronal, sagittal); empty: any.
    planes: tuple[str, ...] = ()
    intended_use: str
    limitations: tuple[str, ...]
    training: Training
    #: Figures on the validation split, measured on the package as it is stored.
    metrics: dict[str, float]
    licence: str
    research_only: bool
    #: Of the weights file, hex.
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def save(self, folder: Path) -> None:
        """Write the card into a package folder."""
        (folder / CARD_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
