"""What is done when a peer refuses a SOP class: where something can take its place, results are made anew for it.

Otherwise the object stays as it is, for the outbox to give up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from dicom_node.domain.delivery import Delivery
from dicom_node.domain.refusal import Refusal
from sr_writer.created import name_of_kind
from sr_writer.fallback import in_place_of
from sr_writer.profiles import Profile

_LOGGER = logging.getLogger(__name__)


class RefusalStore(Protocol):
    """Where refusals are kept, durably, and jobs go back to the worker."""

    def refused_classes(self, *, now: float) -> Mapping[str, frozenset[str]]:
        """Peer -> the SOP classes that it refused of late."""

    def remember(self, peer: str, refusals: Collection[Refusal], *, now: float) -> None:
        """The peer refuses these SOP classes."""

    def replace(self, job_id: int, peer: str, refusals: Collection[Refusal], *, now: float) -> bool:
        """Have what is on its way to the peer of a job made anew."""


class Substituting:
    """Takes back what a peer refuses for its SOP class, if what it is to get (`profiles`, by peer) has a substitute."""

    def __init__(self, store: RefusalStore, profiles: Mapping[str, Profile], clock: Callable[[], float]) -> None:
        self._store = store
        self._profiles = profiles
        self._clock = clock

    def sendable(self, due: Sequence[Delivery], refused: Mapping[str, str] | None = None) -> tuple[Delivery, ...]:
        """Those deliveries, all to one peer, that are to be sent as they are; the jobs of the others are made anew.

        `refused` has the SOP classes that the peer has refused just now, each with its reason; what it refused before
        is known.
        """
        if not due or due[0].peer not in self._profiles:
            return tuple(due)
        peer, now = due[0].peer, self._clock()
        known = self._store.refused_classes(now=now).get(peer, frozenset())
        reasons = {uid: f"it refused {name_of_kind(uid)} before" for uid in known} | dict(refused or {})
        refusals = self._with_substitute(peer, reasons)
        new = [refusals[uid] for uid in refused or {} if uid in refusals]
        if new:
            self._store.remember(peer, new, now=now)
            self._tell(peer, new)
        anew: dict[int, list[Refusal]] = {}
        for each in due:
            if each.sop_class_uid in refusals:
                anew.setdefault(each.job_id, []).append(refusals[each.sop_class_uid])
        for job_id, reasons_of_job in anew.items():
            self._store.replace(job_id, peer, tuple(dict.fromkeys(reasons_of_job)), now=now)
        return tuple(each for each in due if each.job_id not in anew)

    def _with_substitute(self, peer: str, reasons: Mapping[str, str]) -> dict[str, Refusal]:
        refusals = {}
        for uid, reason in reasons.items():
            instead = in_place_of(uid, self._profiles[peer], reasons.keys())
            if instead is not None:
                refusals[uid] = Refusal(uid, reason, instead)
        return refusals

    def _tell(self, peer: str, refusals: Collection[Refusal]) -> None:
        for each in refusals:
            _LOGGER.warning(
                "%s refuses %s; its results are made anew, in its place: %s (%s)",
                peer,
                name_of_kind(each.sop_class_uid),
                each.in_its_place,
                each.reason,
                extra={"action": "sop_class_refused"},
            )
