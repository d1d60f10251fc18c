"""Labelled pictures for classifiers: a data set's and phantoms as squares with a target per question."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inference import phantoms
from inference.cards import Preparation
from inference.datasets.example import readable
from inference.datasets.layouts import examples_of
from inference.interpret import slices_to_show
from inference.phantoms import Array
from inference.training.recipe import Question, Recipe, RecipeError
from inference.transforms import place, to_unit
from inference.volume import Window

log = logging.getLogger(__name__)

#: A row's labels by column; the pseudo-value OUTSIDE marks what belongs to no class of any question.
Labels = Mapping[str, str]
OUTSIDE = "outside"
_CT_WINDOWS = (Window(40, 400), Window(-500, 1500), Window(300, 1500))


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """`squares` float16 0..1 (n, 1, size, size); per question `targets` (n, classes), rows that are not asked all zero;
    `outside` bool (n): belongs to no class; `groups`: source and labels, for balance and for figures by source."""

    squares: Tensor
    targets: dict[str, Tensor]
    outside: Tensor
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.groups)


def target_of(question: Question, labels: Labels) -> list[float]:
    """One-hot for a class, even for what the question calls outside, all zero where it is not asked."""
    count = len(question.classes)
    value = labels.get(question.column, "")
    if value == OUTSIDE:
        return [1 / count] * count
    if any(labels.get(column) != wanted for column, wanted in question.where.items()):
        return [0.0] * count
    if value in question.outside:
        return [1 / count] * count
    return [float(value == name) for name in question.classes]


def read_examples(root: Path, layout: str, split: str) -> Iterator[tuple[Array, Labels]]:
    """(1, rows, columns) pictures of one split of a data set, of a stack as many as inference would look at."""
    for example, stack in readable(examples_of(root, split, layout)):
        for index in slices_to_show(len(stack.pixels)):
            yield stack.pixels[[index]], example.labels


def _brain(rng: np.random.Generator) -> tuple[Array, Labels]:
    lesion = phantoms.random_lesion(rng) if rng.random() < 0.5 else None
    volume = phantoms.brain_mr(rng, (8, 192, 192), lesion).pixels
    return volume[[int(rng.integers(1, 7))]], {"modality": "mr", "region": "brain", "plane": "axial"}


def _knee(rng: np.random.Generator) -> tuple[Array, Labels]:
    volume = phantoms.knee_mr(rng, (6, 192, 192)).pixels
    return volume[[int(rng.integers(1, 5))]], {"modality": "mr", "region": "knee", "plane": "sagittal"}


def _abdomen(rng: np.random.Generator) -> tuple[Array, Labels]:
    hounsfield = phantoms.abdomen_ct(rng, (1, 192, 192)).pixels
    window = _CT_WINDOWS[int(rng.integers(len(_CT_WINDOWS)))]
    return np.clip(hounsfield, window.lower, window.upper), {"modality": "ct", "region": "abdomen"}


_KNOWN: tuple[Callable[[np.random.Generator], tuple[Array, Labels]], ...] = (
    _brain,
    _knee,
    _abdomen,
    lambda rng: (phantoms.hand_radiograph(rng).pixels, {"modality": "xr", "region": "hand"}),
    lambda rng: (phantoms.colour_ultrasound(rng).pixels, {"modality": "us"}),
)
_OUTSIDE: tuple[Callable[[np.random.Generator], Array], ...] = (
    lambda rng: phantoms.photograph(rng).pixels,
    lambda rng: phantoms.noise_or_pattern(rng).pixels,
    lambda rng: phantoms.noise_or_pattern(rng, (int(rng.integers(64, 512)), int(rng.integers(64, 512)))).pixels,
)


def draw_phantoms(rng: np.random.Generator, known: int, outside: int) -> Iterator[tuple[Array, Labels]]:
    """Generated pictures with their labels, each kind as often as the others."""
    for index in range(known):
        pixels, labels = _KNOWN[index % len(_KNOWN)](rng)
        yield pixels, {"source": "phantom", **labels}
    for index in range(outside):
        labels = dict.fromkeys(("modality", "region", "plane"), OUTSIDE)
        yield _OUTSIDE[index % len(_OUTSIDE)](rng), {"source": "phantom", **labels}


def shuffled(squares: Tensor, generator: torch.Generator, pieces: int = 4) -> Tensor:
    """Real pictures cut into pieces x pieces tiles in random order: real texture, no anatomy."""
    n, _, size, _ = squares.shape
    tile = size // pieces
    cut = squares[..., : tile * pieces, : tile * pieces].unfold(2, tile, tile).unfold(3, tile, tile)
    tiles = cut.reshape(n, pieces * pieces, tile, tile)
    order = torch.rand(n, pieces * pieces, generator=generator).argsort(1)
    mixed = torch.gather(tiles, 1, order[:, :, None, None].expand_as(tiles)).view(n, pieces, pieces, tile, tile)
    whole = torch.zeros_like(squares)
    whole[:, 0, : tile * pieces, : tile * pieces] = mixed.permute(0, 1, 3, 2, 4).reshape(
        n, tile * pieces, tile * pieces
    )
    return whole


def _check(recipe: Recipe, split: str, rows: Sequence[Labels]) -> None:
    """Raises RecipeError where there is no picture, or nothing that a question could be learnt from."""
    if not rows:
        raise RecipeError(f"data: {recipe.data.root} has no picture for {split} that can be read")
    for name, question in recipe.questions.items():
        if split == "train" and not any(row.get(question.column) in question.classes for row in rows):
            raise RecipeError(
                f"questions.{name}: no picture of {recipe.data.root}, layout {recipe.data.layout}, has one of "
                f"{', '.join(question.classes)} as its {question.column or 'label, for no column is named'}"
            )


def load_pictures(recipe: Recipe, split: str, size: int) -> Pictures:
    """Every picture of a split and its share of phantoms (a fifth as many for validation), prepared at `size`.

    Raises RecipeError where that leaves nothing, or a question without a picture of any of its classes to learn from.
    """
    share = 1 if split == "train" else 5
    rng = np.random.default_rng([recipe.seed, share])
    mixed = recipe.data.phantoms
    preparation: Preparation = recipe.preparation
    squares: list[Tensor] = []
    rows: list[Labels] = []
    for pixels, labels in chain(
        read_examples(recipe.data.root, recipe.data.layout, split),
        draw_phantoms(rng, mixed.pictures // share, mixed.outside // share),
    ):
        squares.append(place(to_unit(pixels, None, preparation), size)[0].half())
        rows.append(labels)
    _check(recipe, split, rows)
    targets = {
        name: torch.tensor([target_of(question, labels) for labels in rows])
        for name, question in recipe.questions.items()
    }
    groups = tuple(f"{row.get('source', '')}:{row.get('modality', '')}:{row.get('region', '')}" for row in rows)
    outside = torch.tensor([row.get("modality") == OUTSIDE for row in rows])
    log.info("%d pictures for %s", len(rows), split, extra={"action": "pictures_loaded", "groups": Counter(groups)})
    return Pictures(torch.cat(squares), targets, outside, groups)
