"""The card of a model package: what it answers, how its input is made, what it was trained on, how good it was.

Importable without torch, so that `dicom-node models` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from inference.findings import Task

CARD_FILE = "card.json"
WEIGHTS_FILE: Final = "weights.safetensors"
#: All that a package may consist of.
FILES: Final = (CARD_FILE, WEIGHTS_FILE, "model.onnx", "model.xml", "model.bin")
#: Of an int8 network beside the weights.
QUANTISED_FILES: Final = ("model.xml", "model.bin")
#: By which an int8 network may be worse than the float32 one it was made from, in any figure it is judged by.
LARGEST_LOSS: Final = 0.005


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FixedWindow(_Record):
    """Rescaled values, Hounsfield units of a CT for instance, that become 0 to 1, whatever window the header states."""

    center: float
    width: float = Field(gt=0)


class Preparation(_Record):
    """How pixels become network input."""

    #: Side of the square input in pixels.
    size: int = Field(gt=0)
    #: Whether the header's VOI window is applied first. A stack without one is scaled by percentiles alone.
    use_window: bool
    #: In place of the header's window and of the percentiles.
    window: FixedWindow | None = None
    #: Percentiles of the whole stack that become 0 and 1.
    lower_percentile: float = Field(default=0.5, ge=0, lt=50)
    upper_percentile: float = Field(default=99.5, gt=50, le=100)
    #: A median filter against noise.
    denoise: bool = False
    #: Contrast evened tile by tile (CLAHE), so that no tile's grows more than this; 0: as it is.
    equalise: float = Field(default=0.0, ge=0)
    #: Strength of the edges as a second channel.
    edges: bool = False
    #: The grey values three times, for networks that were made for colours.
    rgb: bool = False
    #: What is taken from the values 0 to 1 and what they are divided by then; one number, or one per channel.
    mean: float | tuple[float, ...] = 0.5
    std: PositiveFloat | tuple[PositiveFloat, ...] = 0.25

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 3 if self.rgb else 2 if self.edges else 1

    @model_validator(mode="after")
    def _has_one_number_per_channel(self) -> Preparation:
        if self.rgb and self.edges:
            raise ValueError("rgb and edges exclude each other")
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) != self.channels:
                raise ValueError(f"{name} has {len(value)} numbers for {self.channels} channels")
        return self


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


class Outputs(_Record):
    """How the outputs of a network that comes as a file are to be read."""

    #: Question -> name of the output that answers it; empty: the outputs in the order of the questions.
    names: dict[str, str] = Field(default_factory=dict)
    #: Whether they are scores 0 to 1 already, and not logits. Detectors always give scores.
    activated: bool = False


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


class CardFigure(_Record):
    """A figure and the interval in which 95 % of the resamples over subjects gave theirs."""

    name: str
    value: float
    low: float
    high: float
    #: Cases it was measured on.
    cases: int
    #: Empty: of all sources, of all classes.
    source: str = ""
    class_name: str = ""


class JudgedFigure(_Record):
    """A figure on the validation split, of the float32 and of the int8 network."""

    name: str
    float32: float
    int8: float
    cases: int


def loss_of(judged: Sequence[JudgedFigure]) -> float:
    """The largest loss of any figure, to four places."""
    return round(max(each.float32 - each.int8 for each in judged), 4)


class Quantisation(_Record):
    """How the int8 network beside the weights was made, and by what it was judged; what loses too much is refused."""

    #: The data set whose training split it was calibrated on, and how much of it.
    data: str
    pictures: int
    subjects: int
    #: Libraries with their versions.
    made_with: str
    judged: tuple[JudgedFigure, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _loses_little(self) -> Quantisation:
        if loss_of(self.judged) > LARGEST_LOSS:
            raise ValueError(f"int8 loses {loss_of(self.judged):g}, and {LARGEST_LOSS:g} is allowed")
        return self


class Card(_Record):
    """Everything about a model package that is not a weight."""

    name: str
    version: str
    manufacturer: str
    task: Task
    #: One of the project's, or one that an installed distribution brings; empty where the file is a whole network.
    architecture: str = ""
    #: The file the network, or its weights, are in.
    file: Literal["weights.safetensors", "model.onnx", "model.xml"] = WEIGHTS_FILE
    outputs: Outputs = Outputs()
    #: Classes per question, in the order of the network's outputs.
    questions: dict[str, tuple[str, ...]]
    #: Per question that a table of labels can answer; for evaluation.
    labels: dict[str, Labels] = Field(default_factory=dict)
    preparation: Preparation
    operating_point: OperatingPoint
    #: Planes of the stacks it is made for (axial, coronal, sagittal); empty: any.
    planes: tuple[str, ...] = ()
    intended_use: str
    #: What series it expects, in words.
    inputs: str = ""
    limitations: tuple[str, ...]
    #: Where it was seen to be wrong.
    known_failures: tuple[str, ...] = ()
    training: Training
    #: Figures on the validation split, measured on the package as it is stored.
    metrics: dict[str, float]
    #: The same and more, with intervals, by source and by class.
    figures: tuple[CardFigure, ...] = ()
    licence: str
    research_only: bool
    #: Of the file, hex.
    weights_sha256: Digest
    #: Of every other file that is read with it: model.bin beside model.xml; both beside weights where there is an int8
    #: network.
    further_sha256: dict[Literal["model.bin", "model.xml"], Digest] = Field(default_factory=dict)
    #: Of model.xml beside the weights, which computes in int8; None: there is none.
    quantisation: Quantisation | None = None

    @model_validator(mode="after")
    def _has_all_files(self) -> Card:
        if (self.file == WEIGHTS_FILE) == (not self.architecture):
            raise ValueError(f"architecture: {WEIGHTS_FILE} needs one, a file that is a whole network has none")
        if self.quantisation is not None and self.file != WEIGHTS_FILE:
            raise ValueError(f"quantisation: only {WEIGHTS_FILE} has an int8 network beside it")
        beside = (
            QUANTISED_FILES if self.quantisation is not None else ("model.bin",) if self.file == "model.xml" else ()
        )
        if set(self.further_sha256) != set(beside):
            raise ValueError(f"further_sha256: beside {self.file} go the digests of {', '.join(beside) or 'no file'}")
        return self

    def save(self, folder: Path) -> None:
        """Write the card into a package folder."""
        (folder / CARD_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
