"""What went over an association, in either direction, gathered by study until the association is over.

An audit trail tells of studies and associations, not of each instance (PS3.15 A.5.3.7).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from dicom_node.admission import AssociationRequest
from dicom_node.domain.delivery import Delivery
from dicom_node.receiving import Recorded
from dicom_node.store import Receipt


class Ending(Protocol):
    """An association as far as it matters here; pynetdicom's own fits."""

    def is_alive(self) -> bool:
        """Whether its thread runs; nothing comes of it any more afterwards."""


_Association = TypeVar("_Association", bound=Ending)


@dataclass(frozen=True, slots=True)
class Reception:
    """What one association brought of one study."""

    caller: AssociationRequest
    study_instance_uid: str
    #: One of its instances.
    path: Path
    #: Whether the node held the same instances before.
    known: bool
    #: SOP Class UID -> number of instances.
    instances: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What went to a peer of one study at one turn, or never will."""

    peer: str
    study_instance_uid: str
    #: One of its objects.
    path: Path
    #: Why the peer will never have them; empty: it has them.
    failure: str
    #: SOP Class UID -> number of instances.
    instances: Mapping[str, int]


@dataclass(slots=True)
class _Gathered:
    path: Path
    instances: Counter[str] = field(default_factory=Counter)


class Receptions(Generic[_Association]):
    """Instances as they come, over any number of associations at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[_Association, tuple[AssociationRequest, dict[tuple[str, bool], _Gathered]]] = {}

    def note(self, association: _Association, caller: AssociationRequest, recorded: Recorded) -> None:
        """One instance is kept and recorded."""
        instance, known = recorded.instance, recorded.receipt is Receipt.DUPLICATE
        with self._lock:
            _, studies = self._open.setdefault(association, (caller, {}))
            gathered = studies.setdefault((instance.study_instance_uid, known), _Gathered(instance.path))
            gathered.instances[instance.sop_class_uid] += 1

    def over(self, *, all_are: bool = False) -> tuple[Reception, ...]:
        """What came over associations that are over, or as good as that when the node stops; each is told once."""
        with self._lock:
            ended = [association for association in self._open if all_are or not association.is_alive()]
            gone = [self._open.pop(association) for association in ended]
        return tuple(
            Reception(caller, study, gathered.path, known, dict(gathered.instances))
            for caller, studies in gone
            for (study, known), gathered in studies.items()
        )


class Dispatches:
    """Deliveries as they are decided, over any number of peers at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, dict[tuple[str, str], _Gathered]] = {}

    def note(self, delivery: Delivery, failure: str) -> None:
        """A delivery has arrived, or is given up for `failure`."""
        study = delivery.path.parent.name  # results/<study>/<sop>.dcm, see spool.py
        with self._lock:
            studies = self._open.setdefault(delivery.peer, {})
            gathered = studies.setdefault((study, failure), _Gathered(delivery.path))
            gathered.instances[delivery.sop_class_uid] += 1

    def over(self, peer: str | None = None) -> tuple[Dispatch, ...]:
        """What went to one peer, or to all, since this was asked last; to be asked between two associations."""
        with self._lock:
            peers = list(self._open) if peer is None else [peer]
            gone = {each: self._open.pop(each, {}) for each in peers}
        return tuple(
            Dispatch(each, study, gathered.path, failure, dict(gathered.instances))
            for each, studies in gone.items()
            for (study, failure), gathered in studies.items()
        )
