"""Makes the copies that are wanted, one at a time: read, judge, de-identify, check, write, record.

Called by the worker when no analysis waits, so that a study never waits for longer than one object takes. What cannot
be de-identified, or is found not to be, is left out with its reason; where the disk refuses, it is tried again.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom import Dataset, dcmread, dcmwrite

from dicom_node.domain.delivery import LONGEST_DELAY_S, Outgoing, ResultObject, is_in_vain
from dicom_node.domain.errors import ReadError, StoreError
from dicom_node.domain.research import CopyState, Original
from dicom_node.research.admission import CopyRules, reason_to_leave_out
from dicom_node.research.deidentify import Deidentification, deidentify
from dicom_node.research.traces import found_in, traces_of
from dicom_node.unreadable import explained

_LOGGER = logging.getLogger(__name__)

_FIRST_REST_S = 2.0


class CopyStore(Protocol):
    """Where it is recorded what is wanted, and what became of it."""

    def next_original(self, *, now: float) -> Original | None:
        """What is to be copied next."""

    def copy_made(self, original: Original, copy: Outgoing | None, *, now: float) -> bool:
        """It is; False when it is not wanted any more."""

    def copy_ended(self, original: Original, state: CopyState, *, reason: str, now: float) -> None:
        """It is not, and will not be."""

    def copy_postponed(self, original: Original, *, reason: str, now: float) -> None:
        """It is not yet."""


class CopyFolder(Protocol):
    """Where copies are kept that are to be sent."""

    def write_copy(self, study_instance_uid: str, sop_instance_uid: str, content: bytes) -> Path:
        """Write one, durably; raises StoreError."""


class LeftOut(Exception):
    """The object is not copied; the message is the reason, and says nothing of its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """A research copy that has passed the check: its file, and what it says of itself."""

    content: bytes
    header: Dataset


class Handover(Protocol):
    """Brings a copy on its way. Raises StoreError when it cannot now."""

    def __call__(self, original: Original, copy: Copy) -> Outgoing | None:
        """What is to be delivered; None when the copy is where it was to go."""


def copy_of(path: Path, rules: CopyRules, how: Deidentification) -> Copy:
    """The copy of the object at `path`. Raises LeftOut with the reason, or ReadError for what cannot be read."""
    with explained("cannot be read as a data set"):
        original = dcmread(path)
        reason = reason_to_leave_out(original, rules)
    if reason is not None:
        raise LeftOut(reason)
    with explained("cannot be de-identified"):
        traces = traces_of(original)
        deidentify(original, how)
        original.preamble = bytes(128)  # whatever stood there
        buffer = io.BytesIO()
        dcmwrite(buffer, original, enforce_file_format=True)
        content = buffer.getvalue()
        header = dcmread(io.BytesIO(content))
        found = found_in(traces, content, header)
    if found:
        raise LeftOut(f"would still say what the original says in {', '.join(found)}")
    return Copy(content, header)


class Copier:
    """Makes copies by one set of rules and one key."""

    def __init__(
        self, store: CopyStore, handover: Handover, rules: CopyRules, how: Deidentification, give_up_after_s: float,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._store = store
        self._handover = handover
        self._rules = rules
        self._how = how
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self._rests_until = float("-inf")

    def copy_one(self) -> bool:
        """Make the copy that has been wanted for longest, whatever comes of it; False when there is nothing to do."""
        if self._clock() < self._rests_until:
            return False
        original = self._store.next_original(now=self._clock())
        if original is None:
            return False
        try:
            self._make(original)
        except LeftOut as reason:
            self._end(original, CopyState.LEFT_OUT, str(reason))
        except ReadError as error:
            self._end(original, CopyState.FAILED, str(error))
        except StoreError as error:
            self._postpone(original, str(error))
        return True

    def _make(self, original: Original) -> None:
        copy = copy_of(original.path, self._rules, self._how)
        outgoing = self._handover(original, copy)
        if not self._store.copy_made(original, outgoing, now=self._clock()) and outgoing is not None:
            outgoing.result.path.unlink(missing_ok=True)  # its study was forgotten meanwhile

    def _end(self, original: Original, state: CopyState, reason: str) -> None:
        self._store.copy_ended(original, state, reason=reason, now=self._clock())
        _LOGGER.info(
            "No research copy of %s: it %s", original.sop_instance_uid, reason, extra={"action": "copy_left_out"}
        )

    def _postpone(self, original: Original, reason: str) -> None:
        """What hinders one hinders all: nothing is tried for as long again as it has failed."""
        now = self._clock()
        if is_in_vain(original.failing_since, give_up_after_s=self._give_up_after_s, now=now):
            self._end(original, CopyState.FAILED, f"in vain for {self._give_up_after_s / 3600:g} hours: {reason}")
            return
        failed_for = 0.0 if original.failing_since is None else now - original.failing_since
        rest_s = min(max(failed_for, _FIRST_REST_S), LONGEST_DELAY_S)
        self._rests_until = now + rest_s
        self._store.copy_postponed(original, reason=reason, now=now)
        _LOGGER.warning("Research copies wait %.0f s: %s", rest_s, reason, extra={"action": "copy_postponed"})


def to_peer(folder: CopyFolder, peer: str) -> Handover:
    """Copies that are kept beside the results until they are delivered."""

    def hand_over(original: Original, copy: Copy) -> Outgoing:
        header, sop_instance_uid = copy.header, str(copy.header.SOPInstanceUID)
        path = folder.write_copy(original.study_instance_uid, sop_instance_uid, copy.content)
        result = ResultObject(
            path, str(header.get("Modality") or ""), str(header.SOPClassUID), sop_instance_uid,
            str(header.get("SeriesInstanceUID") or ""),
        )  # fmt: skip
        return Outgoing(result, (peer,))

    return hand_over


def to_folder(root: Path, write: Callable[[Path, bytes], None]) -> Handover:
    """Copies as files below `root`, by the pseudonyms of patient, study and series. `write` raises OSError."""

    def hand_over(original: Original, copy: Copy) -> Outgoing | None:
        header = copy.header
        names = (header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID, f"{header.SOPInstanceUID}.dcm")
        if not root.is_dir():  # a share that is not mounted: nothing is written in its place
            raise StoreError("the folder of research.to does not exist")
        try:
            write(root.joinpath(*map(str, names)), copy.content)
        except OSError as error:
            raise StoreError(f"the folder of research.to cannot be written: {error.strerror or error}") from error
        return None

    return hand_over
