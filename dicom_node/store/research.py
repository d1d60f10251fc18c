"""Research copies: what is wanted, what became of it, and how far it got. They never move a job."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from dicom_node.domain.delivery import DeliveryState, Outgoing
from dicom_node.domain.job import MAXIMUM_ATTEMPTS
from dicom_node.domain.research import CopyState, CopyWish, Original, ResearchStatus
from dicom_node.store import rows
from dicom_node.store.database import Row
from dicom_node.store.ledger import Ledger

#: What waits for a peer of research; more copies are made when some have gone. A peer that is away neither fills the
#: disk nor makes the queue of results slower.
MOST_WAITING = 64
_EVENT = "research copy"


class Research(Ledger):
    """Copies of the objects of finished jobs."""

    def next_original(self, *, now: float) -> Original | None:
        """What a copy is to be made of next; None when nothing is wanted, or enough waits to be sent.

        What was begun too often without a word has cost a worker its life each time, and fails.
        """
        with self._database.change():
            while (wanted := self._row("next_research_copy", most=MOST_WAITING)) is not None:
                if wanted["attempt"] < MAXIMUM_ATTEMPTS:
                    self._run("begin_research_copy", **_key(wanted))
                    return rows.original_of(wanted)
                self._decide_copy(
                    wanted, CopyState.FAILED, f"the worker broke off over it {MAXIMUM_ATTEMPTS} times", now
                )
            return None

    def copy_made(self, original: Original, copy: Outgoing | None, *, now: float) -> bool:
        """The copy is on disk, or where it was to go; a `copy` is to be delivered to its peers.

        False, and nothing is written, when it is not wanted any more.
        """
        with self._database.change():
            found = self._copy(original)
            if found is None:
                return False
            if copy is not None:
                added = self._run("add_copy", job_id=original.job_id, **rows.result_columns(copy.result))
                for result_id, peer in itertools.product((row["result_id"] for row in added), copy.peers):
                    self._run("add_delivery", job_id=original.job_id, result_id=result_id, peer=peer, now=now)
            self._decide_copy(found, CopyState.MADE, "", now)
            return True

    def copy_ended(self, original: Original, state: CopyState, *, reason: str, now: float) -> None:
        """No copy is made: it was left out or failed, for `reason`."""
        with self._database.change():
            found = self._copy(original)
            if found is not None:
                self._decide_copy(found, state, reason, now)

    def copy_postponed(self, original: Original, *, reason: str, now: float) -> None:
        """The try failed for `reason`, and there shall be another. Only a reason that is news becomes an event."""
        with self._database.change():
            found = self._copy(original)
            if found is None:
                return
            self._run("postpone_research_copy", **_key(found), reason=reason, now=now)
            if reason != found["reason"]:
                self._event(original.study_instance_uid, original.job_id, _EVENT, f"waits: {reason}", now)

    def research_of(self, study_instance_uid: str) -> ResearchStatus | None:
        """How far the copies of a study got; None where none was ever wanted. No transaction of its own."""
        copies = self._run("research_copies_of_study", study_instance_uid=study_instance_uid)
        if not copies:
            return None
        deliveries = self._run("research_deliveries_of_study", study_instance_uid=study_instance_uid)
        reasons: Counter[str] = Counter()
        for row in (*copies, *deliveries):
            if row["reason"]:
                reasons[row["reason"]] += row["number"]
        return ResearchStatus(_numbers(copies), _numbers(deliveries), dict(reasons))

    def _want_copies(self, job: Row, wish: CopyWish, now: float) -> None:
        """What a job has seen and made is to be copied; what is copied already is not copied again."""
        names = {"job_id": job["job_id"], "study_instance_uid": job["study_instance_uid"]}
        for query in (*["want_images"] * wish.images, *["want_results"] * wish.results):
            self._run(query, **names)
        if number := self._still_wanted(job):
            self._event(job["study_instance_uid"], job["job_id"], _EVENT, f"wanted of {number} objects", now)

    def _copy(self, original: Original) -> Row | None:
        """The row, as long as it is wanted; its study may have been forgotten meanwhile."""
        found = self._row(
            "research_copy", study_instance_uid=original.study_instance_uid, sop_instance_uid=original.sop_instance_uid
        )
        return found if found is not None and found["state"] == CopyState.WANTED else None

    def _decide_copy(self, copy: Row, state: CopyState, reason: str, now: float) -> None:
        """The last of a job's copies makes the event that tells of all of them."""
        self._run("decide_research_copy", **_key(copy), state=state, reason=reason)
        if not self._still_wanted(copy):
            told = self._run("research_copies_of_job", job_id=copy["job_id"])
            self._event(copy["study_instance_uid"], copy["job_id"], _EVENT, _told(told), now)

    def _still_wanted(self, of_job: Row) -> int:
        [wanted] = self._run("wanted_of_job", job_id=of_job["job_id"])
        return int(wanted["number"])

    def _copy_delivered(self, delivery: Row, now: float) -> None:
        """The last of a job's deliveries of copies makes the event that tells of all of them."""
        fates = self._run("research_deliveries_of_job", job_id=delivery["job_id"])
        if all(fate["state"] != DeliveryState.PENDING for fate in fates):
            self._event(delivery["study_instance_uid"], delivery["job_id"], _EVENT, f"deliveries: {_told(fates)}", now)


def _key(row: Row) -> dict[str, str]:
    return {"study_instance_uid": row["study_instance_uid"], "sop_instance_uid": row["sop_instance_uid"]}


def _numbers(counted: Sequence[Row]) -> dict[str, int]:
    numbers: Counter[str] = Counter()
    for row in counted:
        numbers[row["state"]] += row["number"]
    return dict(numbers)


def _told(counted: Sequence[Row]) -> str:
    """`12 made, 3 left out (is a secondary capture)`."""
    return ", ".join(
        f"{row['number']} {row['state']}" + (f" ({row['reason']})" if row["reason"] else "") for row in counted
    )
