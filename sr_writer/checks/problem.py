"""What a check is and what it says: a name that tests and tools can rely on, and a sentence for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydicom import Dataset

#: SOP Instance UID -> header of an image that a result may refer to; empty where the images are not at hand.
Sources = Mapping[str, Dataset]
#: Yields a sentence per problem. It names attributes and rules, never a value: values may be a patient's.
Finder = Callable[[Dataset, Sources], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an object, and which check found it."""

    check: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Check:
    """One rule under a short name."""

    name: str
    find: Finder

    def problems(self, dataset: Dataset, sources: Sources) -> Iterator[Problem]:
        """Everything in `dataset` that breaks the rule."""
        for sentence in self.find(dataset, sources):
            yield Problem(self.name, sentence)
