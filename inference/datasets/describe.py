"""What is in a data set: how much, of what, how good, what is there twice, and who is on both sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from inference.datasets.example import Example, Stack, Unreadable
from inference.datasets.lookalikes import LookAlikes
from inference.quality import judge
from inference.volume import FrameReference, Volume

_LABELS = ("source", "modality", "region", "plane", "abnormal")
_PICTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(slots=True)
class Description:
    """Counted while the examples are read one after the other; none is kept. Subjects are counted whether or not their
    pictures can be read."""

    examples: int = 0
    slices: int = 0
    #: Split -> its subjects.
    subjects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: Label -> (split, value) -> examples.
    labels: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: Defects of image quality, in words -> examples.
    quality: Counter[str] = field(default_factory=Counter)
    #: Examples with something drawn on them, and with nothing to draw.
    drawn: int = 0
    empty: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    #: Of the middle slices.
    look_alikes: LookAlikes = field(default_factory=LookAlikes)

    @property
    def leaks(self) -> tuple[str, ...]:
        """Subjects that are in more than one split."""
        splits = Counter(subject for subjects in self.subjects.values() for subject in subjects)
        return tuple(sorted(subject for subject, count in splits.items() if count > 1))

    @property
    def duplicates(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """(split, name) of examples that look alike, group by group."""
        return self.look_alikes.groups

    @property
    def duplicates_across_splits(self) -> int:
        """Groups that look alike and are on more than one side."""
        return sum(len({split for split, _ in group}) > 1 for group in self.duplicates)


def describe(examples: Iterable[Example]) -> Description:
    """Read every example once."""
    description = Description()
    for example in examples:
        description.examples += 1
        if example.subject:
            description.subjects[example.split].add(example.subject)
        for label in _LABELS:
            if example.labels.get(label):
                description.labels[label][example.split, example.labels[label]] += 1
        try:
            _count(description, example, example.read())
        except Unreadable as error:
            description.unreadable[example.name] = str(error)
    return description


def _count(description: Description, example: Example, stack: Stack) -> None:
    description.slices += len(stack.pixels)
    description.sizes[stack.pixels.shape[1], stack.pixels.shape[2]] += 1
    frames = tuple(FrameReference(_PICTURE, str(number)) for number in range(len(stack.pixels)))
    for flag in judge(Volume("", "", stack.pixels, frames)):
        description.quality[flag.defect] += 1
    if stack.mask is not None or stack.boxes is not None:
        something = bool(stack.boxes) or (stack.mask is not None and bool(stack.mask.any()))
        description.drawn += something
        description.empty += not something
    description.look_alikes.add(stack.pixels[len(stack.pixels) // 2], example.split, example.name)
