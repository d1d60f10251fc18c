"""What the store knows of studies that are pulled from peers: what is here of them, and what shall not come again."""

from __future__ import annotations

from dicom_node.store.ledger import Ledger
from dicom_node.store.removal import digest_of

#: For so long after a prior was asked for, its images open no job. Later ones were sent by somebody's wish, and do.
_PRIOR_COMES_WITHIN_S = 86400.0


class Pulls(Ledger):
    """Studies that are had from peers."""

    def held_instances(self, study_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of what was received of a study, what was set aside as a conflict included."""
        found = self._run("instances_held", study_instance_uid=study_instance_uid)
        return frozenset(row["sop_instance_uid"] for row in found)

    def was_removed(self, study_instance_uid: str) -> bool:
        """Whether a person had the study forgotten, or it expired, at any time."""
        return bool(self._run("events_of_study", study_instance_uid=digest_of(study_instance_uid)))

    def note_pulled(self, study_instance_uid: str, *, told: str, now: float) -> None:
        """Make it an event of the study; one of which nothing came leaves no trace."""
        with self._database.change():
            if self._row("study_exists", study_instance_uid=study_instance_uid) is None:
                self._run("forget_prior", study_instance_uid=study_instance_uid)
            else:
                self._event(study_instance_uid, None, "pulled", told, now)

    def note_prior(self, study_instance_uid: str, *, now: float) -> None:
        """Have images that come of a study from now on open no job, unless it has one; `rerun` opens it."""
        with self._database.change():
            if self._row("newest_job", study_instance_uid=study_instance_uid) is None:
                self._run("add_prior", study_instance_uid=study_instance_uid, now=now)

    def _is_coming_as_prior(self, study_instance_uid: str, now: float) -> bool:
        prior = self._row("prior_by_study", study_instance_uid=study_instance_uid)
        return prior is not None and now - prior["noted_at"] < _PRIOR_COMES_WITHIN_S
