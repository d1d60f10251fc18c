"""Asks peers, once a day, for the studies of the last days, and pulls what never arrived or is incomplete.

It remembers nothing: what is missing is compared anew each time, so that a run that was cut off is made up for by the
next one, and a run in which nothing is missing changes nothing.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.errors import DeliveryError
from dicom_node.domain.retrieval import Dates, Pulled, RemoteStudy, StudyKeys
from dicom_node.domain.study import StudyActivity
from dicom_node.pulling import Puller
from dicom_node.remote_studies import find_studies

_LOGGER = logging.getLogger(__name__)


class CatchUpStore(Protocol):
    """What is here, and what shall not come again."""

    def receiving(self) -> tuple[StudyActivity, ...]:
        """The studies that are arriving."""

    def was_removed(self, study_instance_uid: str) -> bool:
        """Whether the study was forgotten, or expired."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for, and how much is pulled at most."""

    #: Today and so many days before it, by Study Date.
    days: int
    #: Empty: of every modality.
    modalities: tuple[str, ...]
    #: Studies that are pulled from one peer in one run.
    most_studies: int


class CatchUp:
    """Catches up with each of the peers when it is run; `stop`, from another thread, ends that."""

    def __init__(
        self, pullers: Mapping[str, Puller], store: CatchUpStore, window: Window, clock: Callable[[], float]
    ) -> None:
        self._pullers = pullers
        self._store = store
        self._window = window
        self._clock = clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the study under way, and begin no other."""
        self._stopping.set()
        for puller in self._pullers.values():
            puller.stop()

    def run(self) -> None:
        """Catch up with one peer after the other; one that cannot be asked does not stop the others."""
        for peer, puller in self._pullers.items():
            if self._stopping.is_set():
                return
            try:
                self._catch_up_with(peer, puller)
            except DeliveryError as error:
                _LOGGER.warning("%s cannot be asked: %s", peer, error, extra={"action": "catch_up_failed"})

    def _catch_up_with(self, peer: str, puller: Puller) -> None:
        modalities, most = self._window.modalities, self._window.most_studies
        with puller.query() as query:
            found = find_studies(query, StudyKeys(dates=self._dates()), modalities)
        arriving = {activity.study_instance_uid for activity in self._store.receiving()}
        wanted = [study for study in found if self._is_wanted(study, arriving)]
        pulled: list[Pulled] = []
        for study in wanted:
            if self._stopping.is_set() or len(pulled) == most:
                break
            outcome = puller.pull(study, modalities, lambda _: None)
            if outcome.wanted > outcome.here or outcome.problem:
                pulled.append(outcome)
        _LOGGER.info(
            "%s holds %d studies of these days; %d were pulled, %d of them are not complete%s",
            peer,
            len(found),
            len(pulled),
            sum(not each.is_complete for each in pulled),
            f"; no more than {most} are pulled in one run" if len(pulled) == most else "",
            extra={"action": "caught_up"},
        )

    def _is_wanted(self, study: RemoteStudy, arriving: Collection[str]) -> bool:
        uid = study.study_instance_uid
        return uid not in arriving and not self._store.was_removed(uid)

    def _dates(self) -> Dates:
        today = datetime.datetime.fromtimestamp(self._clock()).astimezone().date()
        return Dates(today - datetime.timedelta(days=self._window.days), today)
