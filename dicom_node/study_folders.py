"""Everything of a study on disk as a whole: how much it is, and its removal; knows nothing of network or database.

    <root>/removed/<random>/    on its way out; `sweep` deletes it

Files leave their places by rename, which is quick and whole, and are deleted afterwards, which may take its time. What
a kill leaves behind in removed/ is deleted at the next removal or the next start of the node.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from dicom_node.domain.errors import StoreError
from dicom_node.domain.study import ConflictingObject
from dicom_node.durable_files import make_folder, sync_folder
from dicom_node.spool import BY_STUDY, checked_uid, conflict_name


class StudyFolders:
    """The folders of studies below `root`. Any number of processes may remove studies at once."""

    def __init__(self, root: Path) -> None:
        self._removed = root / "removed"
        self._conflicts = root / "conflicts"
        self._by_study = tuple(root / name for name in BY_STUDY)

    def discard(self, study_instance_uid: str, conflicts: Iterable[ConflictingObject] = ()) -> None:
        """Take a study's folders, and what is in conflict with it, out of their places, durably.

        What is not there is passed over. Raises StoreError when the disk says no.
        """
        study = checked_uid(study_instance_uid, "Study Instance UID")
        aside = self._removed / uuid.uuid4().hex
        try:
            make_folder(aside)
            for folder in self._by_study:
                _rename(folder / study, aside / folder.name)
            for each in conflicts:
                name = conflict_name(each.sop_instance_uid, each.digest)
                _rename(self._conflicts / each.study_instance_uid / name, aside / name)
        except OSError as error:
            raise StoreError(
                f"study {study} cannot be removed from disk: {error.strerror or error}; run this as the service's user"
            ) from error

    def sweep(self) -> None:
        """Delete what was taken out of its place. Raises StoreError when the disk says no."""
        try:
            for folder in self._removed.iterdir() if self._removed.is_dir() else ():
                shutil.rmtree(folder, onerror=_unless_gone)
        except OSError as error:
            raise StoreError(
                f"{self._removed} cannot be emptied: {error.strerror or error}; delete it by hand"
            ) from error

    def bytes_of(self, study_instance_uid: str) -> int:
        """What a study takes on disk: received, in conflict, and made."""
        return sum(_bytes_under(folder / study_instance_uid) for folder in self._by_study)

    def bytes_in_all(self) -> int:
        """What all studies take on disk."""
        return sum(map(_bytes_under, self._by_study))


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except FileNotFoundError:
        return
    sync_folder(target.parent)
    sync_folder(source.parent)


def _bytes_under(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except FileNotFoundError:  # it was moved meanwhile
                continue
    return total


def _unless_gone(_function: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    """Another process that sweeps may have been faster."""
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
