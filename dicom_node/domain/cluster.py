"""What is decided about a cluster that computes for the node: which of its models are the node's own, and when one that
failed is asked again. Nothing here knows Ray."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.breaker import Breaker
from dicom_node.domain.delivery import retry_delay_s

#: Digits of a digest that tell a person two packages apart.
_SHOWN = 12
#: Requests of one study that are under way at a time, at most: they bound the memory that a large study takes.
SIDE_BY_SIDE = 8


class ClusterError(Exception):
    """The cluster gave no answer; the message says why, without a word of any study."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a cluster serves: replicas by package name and digest of its card, and the version of the library."""

    replicas: Mapping[tuple[str, str], int]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """What of an offer the node may use."""

    #: Name -> replicas, of packages that are the node's own to the last bit.
    usable: Mapping[str, int]
    #: What is wrong with the others, a sentence each, with the remedy.
    problems: tuple[str, ...]

    @property
    def told(self) -> str:
        """In one line."""
        served = [f"{name} ({count} replica{'s' if count > 1 else ''})" for name, count in self.usable.items()]
        return "; ".join([f"serves {', '.join(served)}" if served else "serves nothing of this node's", *self.problems])


@dataclass(frozen=True, slots=True)
class Replicated:
    """One package, and how its replicas compute; what a replica is told."""

    #: As the cascade names it.
    name: str
    folder: Path
    #: Of its card.json; the machine that a replica starts on must have the same.
    digest: str
    #: As runtime.engine, runtime.precision and runtime.device have them; the last cpu without a share of a GPU.
    engine: str
    precision: str
    device: str
    compiled_networks: Path
    threads: int
    requests_at_once: int


def side_by_side(found: Match | None, wanted: Mapping[str, str], digest: str) -> int:
    """Requests about a package that a study should have under way: one for each replica, so that none waits for work
    while another has several; 0 where nobody is asked."""
    usable: Mapping[str, int] = {} if found is None else found.usable
    return min(SIDE_BY_SIDE, sum(count for name, count in usable.items() if wanted[name] == digest))


def match(wanted: Mapping[str, str], offer: Offer) -> Match:
    """Hold the node's packages, name -> digest, against an offer. Another digest is another model, and is not used."""
    usable = {name: offer.replicas[name, digest] for name, digest in wanted.items() if (name, digest) in offer.replicas}
    problems = []
    for name in wanted:
        if name in usable:
            continue
        others = sorted(digest[:_SHOWN] for package, digest in offer.replicas if package == name)
        if others:
            problems.append(
                f"{name} there is another one (card {', '.join(others)}; here {wanted[name][:_SHOWN]}), not used: "
                "install and activate the same version there, then start `dicom-node ray-serve` again"
            )
        else:
            problems.append(f"{name} is not served there and is computed here")
    return Match(usable, tuple(problems))


def after_failure(breaker: Breaker, reason: str, *, now: float, jitter: random.Random) -> Breaker:
    """One failure is enough to wait before the next try: the node computes meanwhile, so that nothing waits with it."""
    failures = breaker.failures + 1
    since = now if breaker.since is None else breaker.since
    return Breaker(failures, since, reason, now + retry_delay_s(failures, jitter))
