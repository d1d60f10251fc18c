"""Which uploads are under way and which studies they have stored something of: the counterpart of open associations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dicom_node.web.refusals import NoRoom

#: At a time; each may hold one object in memory or on the disk while it comes.
MOST_UPLOADS = 32


class Upload:
    """One request that stores."""

    def __init__(self) -> None:
        self.studies: set[str] = set()
        self.is_over = False

    def is_alive(self) -> bool:
        """Whether something may come of it."""
        return not self.is_over


class Uploads:
    """The uploads under way. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Upload] = set()

    @contextmanager
    def one_more(self) -> Iterator[Upload]:
        """While one is under way. Raises NoRoom when there are too many."""
        upload = Upload()
        with self._lock:
            if len(self._open) >= MOST_UPLOADS:
                raise NoRoom(f"{MOST_UPLOADS} uploads are under way")
            self._open.add(upload)
        try:
            yield upload
        finally:
            with self._lock:
                self._open.discard(upload)
                upload.is_over = True

    def stored(self, upload: Upload, study_instance_uid: str) -> None:
        """Note that an upload has stored an object of a study."""
        with self._lock:
            upload.studies.add(study_instance_uid)

    def serving(self, study_instance_uid: str) -> int:
        """How many that are under way have stored an object of a study."""
        with self._lock:
            return sum(study_instance_uid in upload.studies for upload in self._open)
