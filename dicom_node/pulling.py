"""Studies had from a peer: compared with what is here, retrieved, and compared again.

What has arrived is told by the database alone: what a peer counts as sent may not have come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError
from dicom_node.domain.retrieval import Pulled, RemoteStudy, Retrieve, SubOperations
from dicom_node.gaps import Gap, gap_of
from dicom_node.identification import Arrival
from dicom_node.identifiers import retrieval
from dicom_node.peers import OnQuery, Query, open_query, to_nobody
from dicom_node.remote_studies import contents_of
from dicom_node.retrieve_scu import Progress, Retrieval

_LOGGER = logging.getLogger(__name__)


class PullStore(Protocol):
    """Where what comes is recorded."""

    def held_instances(self, study_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of what was received of a study, what was set aside included."""

    def note_pulled(self, study_instance_uid: str, *, told: str, now: float) -> None:
        """Make it an event of the study, if anything of it is here."""

    def note_prior(self, study_instance_uid: str, *, now: float) -> None:
        """Have images that come of a study open no job, unless it has one."""


@dataclass(frozen=True, slots=True)
class Source:
    """A peer that studies are pulled from, and how."""

    peer: Destination
    retrieve: Retrieve
    own_ae_title: str
    on_query: OnQuery = to_nobody


class Puller:
    """Pulls studies from one peer, one after the other; `receive` is given what comes by C-GET."""

    def __init__(
        self, source: Source, store: PullStore, receive: Callable[[Arrival], object], clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._store = store
        self._receive = receive
        self._clock = clock
        self._retrieval = Retrieval(source.peer, source.own_ae_title)

    def stop(self) -> None:
        """End what is under way, and begin no other; for another thread."""
        self._retrieval.stop()

    def query(self) -> AbstractContextManager[Query]:
        """An association to ask the peer. Raises PeerUnreachable or PeerRefused."""
        return open_query(self._source.peer, self._source.own_ae_title, self._source.on_query)

    def look(self, study: RemoteStudy, modalities: Collection[str] = ()) -> Pulled:
        """How much of a study is here; nothing is retrieved."""
        try:
            return _before(study, self._gap(study, modalities))
        except DeliveryError as error:
            return Pulled(study, problem=str(error))

    def pull(
        self, study: RemoteStudy, modalities: Collection[str], progress: Progress, *, as_prior: bool = False
    ) -> Pulled:
        """Have sent what is missing of a study; what cannot be had is told, and not raised.

        Raises StoreError when the database refuses.
        """
        try:
            gap = self._gap(study, modalities)
        except DeliveryError as error:
            return self._told(Pulled(study, problem=str(error)))
        if not gap.missing:
            return _before(study, gap)
        if as_prior:
            self._store.note_prior(gap.study_instance_uid, now=self._clock())
        problem = self._retrieve(gap, progress)
        arrived = len(gap.missing & self._store.held_instances(gap.study_instance_uid))
        if arrived == len(gap.missing):
            problem = ""
        elif not problem:
            problem = f"{self._source.peer} says that it sent everything"
        return self._told(replace(_before(study, gap), arrived=arrived, problem=problem))

    def _gap(self, study: RemoteStudy, modalities: Collection[str]) -> Gap:
        uid = study.study_instance_uid
        with self.query() as query:
            series = contents_of(query, uid)
        return gap_of(uid, series, self._store.held_instances(uid), modalities)

    def _retrieve(self, gap: Gap, progress: Progress) -> str:
        """What went wrong, as far as the peer tells; empty when nothing did."""
        study = gap.study_instance_uid
        identifiers = [retrieval(study)] if gap.whole else [retrieval(study, series) for series in gap.series]
        try:
            if self._source.retrieve is Retrieve.GET:
                ended = tuple(self._retrieval.get(identifiers, gap.sop_classes, self._receive, progress))
            else:
                ended = tuple(self._retrieval.move(identifiers, progress))
        except DeliveryError as error:
            return str(error)
        return "; ".join(dict.fromkeys(self._problem(each) for each in ended if each.status or each.failed))

    def _problem(self, ended: SubOperations) -> str:
        told = f"{self._source.peer} answered status 0x{ended.status:04X}, with {ended.failed} that failed"
        if self._source.retrieve is Retrieve.GET:
            return told
        return f"{told}; does it know {self._source.own_ae_title} by its address and port, and is the node running?"

    def _told(self, pulled: Pulled) -> Pulled:
        uid = pulled.study.study_instance_uid
        told = f"{pulled.arrived} of {pulled.wanted - pulled.here} missing instances came from {self._source.peer.name}"
        if pulled.problem:
            told = f"{told}: {pulled.problem}"
        self._store.note_pulled(uid, told=told, now=self._clock())
        if pulled.is_complete:
            _LOGGER.info("Study %s: %s", uid, told, extra={"action": "study_pulled"})
        else:
            _LOGGER.warning("Study %s: %s", uid, told, extra={"action": "pull_incomplete"})
        return pulled


def _before(study: RemoteStudy, gap: Gap) -> Pulled:
    return Pulled(study, wanted=len(gap.wanted), here=len(gap.wanted) - len(gap.missing))
