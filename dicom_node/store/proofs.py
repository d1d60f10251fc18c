"""Deliveries that were sent and are to be proved: what is asked for, what was answered, and what follows."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace

from dicom_node.domain.commitment import Fate, Unproven, Verdict
from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.job import JobState
from dicom_node.store import rows
from dicom_node.store.database import Row
from dicom_node.store.deliveries import Deliveries
from dicom_node.store.ledger import check_delivery_step

#: The event of a proof that did not come.
_UNPROVEN = "unproven"


class Proofs(Deliveries):
    """The proofs of one open database; as a base, the steps of deliveries that follow from them."""

    def await_from(self, peer: str, *, now: float) -> None:
        """Whatever this peer has, and has not proved to keep, is to be proved."""
        with self._database.change():
            self._run("await_proofs", peer=peer, now=now)

    def await_only_from(self, peers: Collection[str]) -> None:
        """Nothing is to be proved by others any more."""
        with self._database.change():
            self._run("await_no_proofs", proving=json.dumps(sorted(peers)))

    def due_from(self, peer: str, *, now: float, most: int) -> tuple[Unproven, ...]:
        """At most `most` deliveries that the peer may be asked for now, or has not reported on in time."""
        return tuple(map(rows.unproven_of, self._run("unproven_due", peer=peer, now=now, most=most)))

    def asked_for(self, transaction_uid: str) -> tuple[Unproven, ...]:
        """What waits for the report on this transaction; nothing, when nobody waits for it any more."""
        return tuple(map(rows.unproven_of, self._run("unproven_of_transaction", transaction_uid=transaction_uid)))

    def ask(
        self, deliveries: Sequence[Unproven], transaction_uid: str | None, *, due_at: float
    ) -> tuple[Unproven, ...]:
        """They are about to be asked for, and are due again at `due_at` unless there is an answer; as they are then."""
        with self._database.change():
            for each in deliveries:
                self._run("note_asked", delivery_id=each.delivery_id, transaction_uid=transaction_uid, due_at=due_at)
        return tuple(replace(each, transaction_uid=transaction_uid, asked=each.asked + 1) for each in deliveries)

    def judged(self, verdicts: Sequence[Verdict], *, now: float) -> int:
        """Do what the verdicts say, as a whole; how many counted.

        A verdict counts as long as its delivery waits for that very transaction: one that was given twice, or comes
        after others, changes nothing.
        """
        with self._database.change():
            return sum(self._follow(verdict, now) for verdict in verdicts)

    def _follow(self, verdict: Verdict, now: float) -> bool:
        delivery_id = verdict.delivery_id
        waiting = self._run("unproven_by_id", delivery_id=delivery_id, transaction_uid=verdict.transaction_uid)
        if not waiting:
            return False
        delivery = self._delivery(delivery_id)
        if verdict.fate is Fate.COMMITTED:
            check_delivery_step(delivery, DeliveryState.COMMITTED)
            self._run("note_committed", delivery_id=delivery_id)
            self._run("forget_proof", delivery_id=delivery_id)
            self._delivery_event(delivery, DeliveryState.COMMITTED, f"{delivery['peer']} keeps it", now)
        elif verdict.fate is Fate.ASK_AGAIN:
            self._note("note_no_word", verdict, now)
            if verdict.reason != waiting[0]["reason"]:
                self._delivery_event(delivery, _UNPROVEN, verdict.reason, now)
        elif verdict.fate is Fate.SEND_AGAIN:
            self._note("note_missing", verdict, now)
            self._reopen(delivery, verdict, now)
            self._delivery_event(delivery, DeliveryState.PENDING, f"to be sent again: {verdict.reason}", now)
        else:
            self._run("forget_proof", delivery_id=delivery_id)
            self._reopen(delivery, verdict, now)
            self._decide(delivery_id, DeliveryState.DEAD, verdict.reason, None, now)
        return True

    def _note(self, query: str, verdict: Verdict, now: float) -> None:
        self._run(query, delivery_id=verdict.delivery_id, reason=verdict.reason, due_at=verdict.due_at, now=now)

    def _reopen(self, delivery: Row, verdict: Verdict, now: float) -> None:
        """The peer has taken it and does not have it: as if it had never been sent."""
        check_delivery_step(delivery, DeliveryState.PENDING)
        self._run("send_missing_again", delivery_id=verdict.delivery_id, reason=verdict.reason, due_at=verdict.due_at)
        job = self._job(delivery["job_id"])
        if job["state"] in (JobState.DONE, JobState.FAILED):
            reason = f"not kept: {delivery['modality']} at {delivery['peer']}; {verdict.reason}"
            self._move(job, JobState.DELIVERING, reason, now)
