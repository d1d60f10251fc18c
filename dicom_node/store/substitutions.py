"""SOP classes that peers refuse, and results that are made anew without them.

A refusal takes back what of a job is on its way to the peer, and the job goes to the worker once more. The worker makes
the same objects as before, but for what the peer refuses; those the peer has keep their UIDs and are not sent again.
What other peers get of the job goes on meanwhile, and is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dicom_node.domain.job import JobState
from dicom_node.domain.refusal import REMEMBERED_S, Refusal
from dicom_node.store.database import Row
from dicom_node.store.deliveries import Deliveries


class Substitutions(Deliveries):
    """Refusals, and jobs whose results are made anew for some peers."""

    def refused_classes(self, *, now: float) -> Mapping[str, frozenset[str]]:
        """Peer -> the SOP classes that it refused of late."""
        refused: dict[str, frozenset[str]] = {}
        for row in self._run("refused_classes", after=now - REMEMBERED_S):
            refused[row["peer"]] = refused.get(row["peer"], frozenset()) | {row["sop_class_uid"]}
        return refused

    def remember(self, peer: str, refusals: Collection[Refusal], *, now: float) -> None:
        """The peer refuses these SOP classes."""
        with self._database.change():
            for each in refusals:
                self._run("remember_refusal", peer=peer, sop_class_uid=each.sop_class_uid, reason=each.reason, now=now)

    def replace(self, job_id: int, peer: str, refusals: Collection[Refusal], *, now: float) -> bool:
        """Have what is on its way to the peer of a job made anew, without what it refuses; False when nothing of it is
        on its way.

        Where the study has a later job, that one makes the peer's results, and nothing is made anew.
        """
        with self._database.change():
            waiting = self._run("pending_for_peer", job_id=job_id, peer=peer)
            if not waiting:
                return False
            self._run("forget_proofs_of_pending", job_id=job_id, peer=peer)
            self._run("take_back", job_id=job_id, peer=peer)
            job = self._job(job_id)
            newest = self._row("newest_job", study_instance_uid=job["study_instance_uid"])
            is_newest = newest is not None and newest["job_id"] == job_id
            objects = ", ".join(row["modality"] for row in waiting)
            told = f"{objects} to {peer}: {_told(refusals)}" + ("" if is_newest else "; a later job makes it")
            self._event(job["study_instance_uid"], job_id, "replaced", told, now)
            if is_newest:
                self._ask_for(job, peer, refusals, now)
            else:
                self._close_if_decided(job, now)
            return True

    def made_anew_for(self, job_id: int, worker: str) -> tuple[str, ...]:
        """The peers that the worker makes results of the job anew for; none: it makes them for everybody."""
        return tuple(row["peer"] for row in self._run("peers_of_substitutions", job_id=job_id, worker=worker))

    def _ask_for(self, job: Row, peer: str, refusals: Collection[Refusal], now: float) -> None:
        for each in refusals:
            self._run(
                "ask_for_substitution",
                job_id=job["job_id"],
                peer=peer,
                sop_class_uid=each.sop_class_uid,
                in_its_place=each.in_its_place,
                now=now,
            )
        # in any other state it is the worker's already, for another peer, and comes back to it
        if job["state"] == JobState.DELIVERING:
            self._make_anew(job, peer, now)

    def _make_anew(self, job: Row, peers: str, now: float) -> None:
        """The job goes to the worker once more, with all its attempts."""
        self._run("begin_anew", job_id=job["job_id"])
        self._move(job, JobState.READY, f"results are made anew for {peers}, without what it refuses", now)

    def _leave_to_a_later_job(self, job: Row, now: float) -> bool:
        """Late images came before the worker did: the job they open makes what this one would have made anew. False,
        and nothing is done, when the job is there for the first time."""
        if not self._run("peers_to_make_anew_for", job_id=job["job_id"]):
            return False
        self._run("drop_substitutions", job_id=job["job_id"])
        self._move(job, JobState.DELIVERING, "a later job makes what was to be made anew", now)
        self._close_if_decided(self._job(job["job_id"]), now)
        return True


def _told(refusals: Collection[Refusal]) -> str:
    return "; ".join(f"{each.reason}, in its place: {each.in_its_place}" for each in refusals)
