"""What peers asked this node to commit to: from the request until its report is taken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from dicom_node.domain.commitment import CommitmentRequest, Holding, Promise, Reference, RequestRefusal
from dicom_node.store.database import Row
from dicom_node.store.ledger import Ledger

#: Requests of one peer that wait for their reports; more are refused until some of them are reported on.
MOST_OPEN = 1000


class Promises(Ledger):
    """The requests of one open database. Every method raises StoreError when the database refuses."""

    def record(self, peer: str, request: CommitmentRequest, *, due_at: float) -> RequestRefusal | None:
        """Record a request durably, to be reported on from `due_at` on; None, or why it is refused.

        The same request again, before its report, is the one that is there.
        """
        with self._database.change():
            known = self._row("promise_of_transaction", peer=peer, transaction_uid=request.transaction_uid)
            if known is not None:
                is_same = self._references(known["promise_id"]) == request.references
                return None if is_same else RequestRefusal.IN_USE
            if self._run("promises_open", peer=peer)[0]["number"] >= MOST_OPEN:
                return RequestRefusal.TOO_MANY
            [added] = self._run("add_promise", peer=peer, transaction_uid=request.transaction_uid, due_at=due_at)
            for place, reference in enumerate(request.references):
                self._run(
                    "add_promise_item",
                    promise_id=added["promise_id"],
                    place=place,
                    sop_class_uid=reference.sop_class_uid,
                    sop_instance_uid=reference.sop_instance_uid,
                )
            return None

    def due_to(self, peer: str, *, now: float) -> tuple[Promise, ...]:
        """The requests of a peer that are to be reported on now, the oldest first."""
        return tuple(self._promise_of(row) for row in self._run("promises_due", peer=peer, now=now))

    def holding(self, sop_instance_uid: str, *, calling_ae_title: str) -> Holding | None:
        """What was received under this UID, as far as this caller is concerned; None when nothing was."""
        row = self._row("holding", sop_instance_uid=sop_instance_uid, calling_ae_title=calling_ae_title)
        if row is None:
            return None
        return Holding(row["study_instance_uid"], row["sop_class_uid"], Path(row["path"]), bool(row["contradicted"]))

    def postpone(self, promise: Promise, *, due_at: float, now: float) -> None:
        """The peer has not taken the report; the next try is at `due_at`."""
        with self._database.change():
            self._run("postpone_promise", promise_id=promise.promise_id, due_at=due_at, now=now)

    def close(self, promise: Promise, told: Sequence[tuple[Reference, str]], *, now: float) -> None:
        """The peer has its report, or will never have it. `told` is what the events of its objects' studies say.

        Studies that were removed meanwhile get none.
        """
        with self._database.change():
            events: Counter[tuple[str, str]] = Counter()
            for reference, text in told:
                known = self._row("holding", sop_instance_uid=reference.sop_instance_uid, calling_ae_title="")
                if known is not None:
                    events[known["study_instance_uid"], text] += 1
            for (study, text), number in events.items():
                self._event(study, None, "promised", f"{number} objects: {text}", now)
            self._forget(promise.promise_id)

    def keep_only_of(self, peers: Collection[str]) -> tuple[str, ...]:
        """Drop the requests of peers that may not ask any more; whose they were, once each request."""
        with self._database.change():
            strange = self._run("strange_promises", peers=json.dumps(sorted(peers)))
            for row in strange:
                self._forget(row["promise_id"])
            return tuple(row["peer"] for row in strange)

    def _forget(self, promise_id: int) -> None:
        self._run("forget_promise_items", promise_id=promise_id)
        self._run("forget_promise", promise_id=promise_id)

    def _references(self, promise_id: int) -> tuple[Reference, ...]:
        items = self._run("promise_items", promise_id=promise_id)
        return tuple(Reference(item["sop_class_uid"], item["sop_instance_uid"]) for item in items)

    def _promise_of(self, row: Row) -> Promise:
        request = CommitmentRequest(row["transaction_uid"], self._references(row["promise_id"]))
        return Promise(row["promise_id"], row["peer"], request, row["attempt"], row["failing_since"])
