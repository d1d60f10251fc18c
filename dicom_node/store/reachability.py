"""Which peers can be reached, and what that means for the deliveries that wait for them."""

from __future__ import annotations

import json

from dicom_node.domain.breaker import CLOSED, Breaker
from dicom_node.domain.refusal import REMEMBERED_S
from dicom_node.domain.status import DestinationStatus
from dicom_node.store.database import Row
from dicom_node.store.ledger import Ledger


class Reachability(Ledger):
    """The circuit breakers, as rows."""

    def breaker(self, peer: str) -> Breaker:
        """How the peer has answered of late."""
        row = self._row("breaker_of_peer", peer=peer)
        return CLOSED if row is None else _breaker_of(row)

    def peer_fails(self, peer: str, breaker: Breaker, *, now: float) -> int:
        """The peer could not be reached, and has this breaker now; how many objects wait for it.

        While it is open the peer's failure is that of all that waits: from now on, if not from earlier, each is failing
        for its reason. A reason that is news is one event for each job.
        """
        with self._database.change():
            self._run(
                "note_breaker",
                peer=peer,
                failures=breaker.failures,
                since=now if breaker.since is None else breaker.since,
                reason=breaker.reason,
                next_try_at=breaker.next_try_at,
            )
            if breaker.is_open:
                self._run("tell_jobs_that_wait", peer=peer, reason=breaker.reason, now=now)
                self._run("note_unreachable", peer=peer, reason=breaker.reason, now=now)
            return self._waiting(peer)

    def peer_answers(self, peer: str, *, now: float) -> int:
        """The peer could be reached: whatever waits for it is due; how many objects."""
        with self._database.change():
            self._run("forget_breaker", peer=peer)
            self._run("release_waiting", peer=peer, now=now)
            return self._waiting(peer)

    def destinations(self, *, now: float) -> tuple[DestinationStatus, ...]:
        """Every peer that something waits for, that cannot be reached, or that refused something of late, by name."""
        return tuple(
            DestinationStatus(
                peer=row["peer"],
                waiting=row["waiting"],
                unreachable_since=row["since"],
                reason=row["reason"] or "",
                next_try_at=row["next_try_at"],
                refused=tuple(json.loads(row["refused"])),
            )
            for row in self._run("destinations", after=now - REMEMBERED_S)
        )

    def _waiting(self, peer: str) -> int:
        [row] = self._run("count_waiting", peer=peer)
        return int(row["number"])


def _breaker_of(row: Row) -> Breaker:
    return Breaker(row["failures"], row["since"], row["reason"], row["next_try_at"])
