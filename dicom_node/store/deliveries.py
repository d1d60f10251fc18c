"""The steps of deliveries, and what they mean for their job."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from dicom_node.domain.delivery import Delivery, DeliveryState
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import JobState
from dicom_node.domain.status import Reply
from dicom_node.store import rows
from dicom_node.store.database import Row
from dicom_node.store.ledger import check_delivery_step
from dicom_node.store.research import Research


class Deliveries(Research):
    """Result objects on their way, and research copies, which are no matter of their job."""

    def due(self, *, now: float) -> tuple[Delivery, ...]:
        """What may be sent now. Objects of one job for one peer come in sending order, none before one that waits.

        Whoever sends them stops at the first of a job that fails, and asks again.
        """
        return tuple(map(rows.delivery_of, self._run("deliveries_due", now=now)))

    def sent(self, delivery_id: int, *, status: int, now: float) -> None:
        """The peer has the object, by its DIMSE `status`."""
        with self._database.change():
            self._decide(delivery_id, DeliveryState.SENT, "", status, now)

    def postpone(self, delivery_id: int, *, reason: str, due_at: float, now: float) -> None:
        """The try failed for `reason`; the next is at `due_at`. Only a reason that is news becomes an event."""
        with self._database.change():
            delivery = self._delivery(delivery_id)
            if delivery["state"] != DeliveryState.PENDING:
                raise StoreError(f"delivery {delivery_id} is {delivery['state']} already; only a pending one can wait")
            self._run("postpone_delivery", delivery_id=delivery_id, reason=reason, due_at=due_at, now=now)
            if reason != delivery["reason"] and not _is_copy(delivery):
                self._delivery_event(delivery, "postponed", reason, now)

    def dead(self, delivery_id: int, *, reason: str, now: float) -> None:
        """The peer will never take the object, or has failed for too long, for `reason`."""
        with self._database.change():
            self._decide(delivery_id, DeliveryState.DEAD, reason, None, now)

    def resend(self, study: str, *, peer: str | None, everything: bool, now: float) -> Reply:
        """Send what is dead of the study once more, or `everything` of it, to `peer` or to all that were to have it.

        What is pending goes on as it is. `study` is a UID or the beginning of one. Raises StoreError when nothing of
        the study was ever to go there.
        """
        with self._database.change():
            uid = self._find(study)
            found = self._run("deliveries_of_study", study_instance_uid=uid)
            concerned = [row for row in found if peer in (None, row["peer"])]
            if not concerned:
                peers = ", ".join(sorted({row["peer"] for row in found})) or "nobody"
                raise StoreError(
                    f"no result of study {uid} was to go to {peer or 'anybody'}; its results go to {peers}"
                )
            again = [row for row in concerned if _is_to_be_sent_again(row, everything=everything)]
            self._send_again(again, now)
            forgiven = [
                row["peer"]
                for each in sorted({row["peer"] for row in concerned})
                for row in self._run("forget_refusals", peer=each)
            ]
        told = f"{len(again)} of {len(concerned)} deliveries are to be sent again"
        if forgiven:
            told += f"; {', '.join(dict.fromkeys(forgiven))} will be offered anew what was refused"
        elif not again:
            told = f"none of {len(concerned)} deliveries is dead; nothing to do"
        return Reply(uid, bool(again or forgiven), told)

    def _send_again(self, deliveries: Sequence[Row], now: float) -> None:
        """All of them begin anew, and their peers are tried at once."""
        for delivery in deliveries:
            check_delivery_step(delivery, DeliveryState.PENDING)
            self._run("forget_proof", delivery_id=delivery["delivery_id"])
            self._run("send_again", delivery_id=delivery["delivery_id"], now=now)
            if not _is_copy(delivery):
                self._delivery_event(delivery, DeliveryState.PENDING, "to be sent again, by request", now)
        for peer in {row["peer"] for row in deliveries}:
            self._run("try_peer_now", peer=peer, now=now)
        for job_id, number in Counter(row["job_id"] for row in deliveries if not _is_copy(row)).items():
            job, reason = self._job(job_id), f"to be sent again, by request: {number} results"
            if job["state"] == JobState.FAILED and self._run("peers_to_make_anew_for", job_id=job_id):
                self._run("begin_anew", job_id=job_id)
                self._move(job, JobState.READY, reason, now)
            elif job["state"] in (JobState.DONE, JobState.FAILED):
                self._move(job, JobState.DELIVERING, reason, now)

    def _decide(self, delivery_id: int, state: DeliveryState, reason: str, status: int | None, now: float) -> None:
        delivery = self._delivery(delivery_id)
        check_delivery_step(delivery, state)
        self._run("decide_delivery", delivery_id=delivery_id, state=state, reason=reason, status=status)
        if _is_copy(delivery):
            self._copy_delivered(delivery, now)
            return
        self._delivery_event(delivery, state, reason if status is None else f"answered 0x{status:04X}", now)
        self._close_if_decided(self._job(delivery["job_id"]), now)

    def _close_if_decided(self, job: Row, now: float) -> None:
        """A job all of whose deliveries are decided has come to its end, unless it is the worker's."""
        fates = self._fates(job["job_id"])
        if job["state"] == JobState.DELIVERING and all(fate["state"] != DeliveryState.PENDING for fate in fates):
            self._conclude(job, fates, now)

    def _fates(self, job_id: int) -> list[Row]:
        return self._run("deliveries_of_jobs", job_ids=json.dumps([job_id]))

    def _conclude(self, job: Row, fates: Sequence[Row], now: float) -> None:
        """The end of a job whose deliveries have these fates, all decided."""
        dead = [fate for fate in fates if fate["state"] == DeliveryState.DEAD]
        if dead:
            first = f"{dead[0]['modality']} to {dead[0]['peer']}: {dead[0]['reason']}"
            self._move(job, JobState.FAILED, f"{len(dead)} of {len(fates)} deliveries are dead; {first}", now)
        else:
            told = f"all {len(fates)} deliveries arrived" if fates else "nothing of it is to be sent any more"
            self._move(job, JobState.DONE, told, now)

    def _delivery(self, delivery_id: int) -> Row:
        delivery = self._row("delivery_by_id", delivery_id=delivery_id)
        if delivery is None:
            raise StoreError(f"delivery {delivery_id} does not exist; its study may have been forgotten")
        return delivery


def _is_to_be_sent_again(delivery: Row, *, everything: bool) -> bool:
    state = DeliveryState(delivery["state"])
    return state is DeliveryState.DEAD or (everything and state is not DeliveryState.PENDING)


def _is_copy(delivery: Row) -> bool:
    return bool(delivery["kind"] == "research copy")
