"""The end of a study: all its rows go in one transaction, and one event stays that does not say whose they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence

from dicom_node.domain.errors import StoreError
from dicom_node.domain.status import LeftAlone, Reply
from dicom_node.domain.study import ConflictingObject
from dicom_node.store import rows
from dicom_node.store.database import Row
from dicom_node.store.ledger import Ledger

#: Study Instance UID, and the objects in conflict that go with it, some of other studies. Called last in the
#: transaction: it takes the files out of their places, or raises StoreError, and then no row is gone.
Discard = Callable[[str, Sequence[ConflictingObject]], None]
#: In this order, since rows refer to rows.
_FORGET = (
    "forget_unproven", "forget_deliveries", "forget_research_copies", "forget_substitutions", "forget_results",
    "forget_events", "forget_conflicts", "forget_jobs", "forget_instances", "forget_prior",
)  # fmt: skip


class Removal(Ledger):
    """Studies that go."""

    def forget(self, study: str, *, discard: Discard, now: float) -> Reply:
        """Remove everything of a study by request; `study` is a UID or the beginning of one.

        Raises StoreError while a worker has it. A whole UID that was forgotten before is told as such.
        """
        with self._database.change():
            try:
                uid = self._find(study)
            except StoreError:
                if not self._run("events_of_study", study_instance_uid=digest_of(study)):
                    raise
                return Reply(study, changed=False, told="the study is forgotten already")
            leased = self._row("leased_job_of_study", study_instance_uid=uid, now=now)
            if leased is not None:
                raise StoreError(
                    f"study {uid} is being analysed by worker {leased['worker']}; try again when it is done"
                )
            told = self._remove(uid, "forgotten", "by request", discard, now)
            return Reply(uid, changed=True, told=told)

    def expire(
        self, study_instance_uid: str, *, why: str, discard: Discard, now: float, proving: Collection[str] = ()
    ) -> bool:
        """Remove a study that is left alone, for `why`; False, and nothing is done, when it is not left alone."""
        with self._database.change():
            if not self._done_with(study_instance_uid, proving):
                return False
            self._remove(study_instance_uid, "expired", why, discard, now)
            return True

    def left_alone(self, *, proving: Collection[str] = ()) -> tuple[LeftAlone, ...]:
        """The studies that may expire, the one that has been left alone for longest first.

        They stand as done, none of their jobs is under way, and every delivery of every job has arrived; those to the
        `proving` peers are proved, too.
        """
        found = self._done_with(None, proving)
        return tuple(LeftAlone(row["study_instance_uid"], row["last_at"]) for row in found)

    def _done_with(self, only: str | None, proving: Collection[str]) -> list[Row]:
        return self._run("studies_done_with", only=only, proving=json.dumps(sorted(proving)))

    def _remove(self, uid: str, action: str, why: str, discard: Discard, now: float) -> str:
        [counts] = self._run("study_counts", study_instance_uid=uid)
        conflicts = tuple(map(rows.conflict_of, self._run("conflicts_of_study", study_instance_uid=uid)))
        for query in _FORGET:
            self._run(query, study_instance_uid=uid)
        told = (
            f"{why}: {counts['instances']} received objects, {counts['results']} results, "
            f"{len(conflicts)} conflicts and {counts['events']} events are removed"
        )
        self._event(digest_of(uid), None, action, told, now)
        discard(uid, conflicts)
        return told


def digest_of(study_instance_uid: str) -> str:
    """What stands for a removed study in its one event: who has the UID can find it, nobody can read it there."""
    return f"sha256:{hashlib.sha256(study_instance_uid.encode()).hexdigest()}"
