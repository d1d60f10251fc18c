"""The storage folder: held by one node alone, with a database that is sound."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.domain.errors import StoreError
from dicom_node.spool import Spool
from dicom_node.store import Store

_LOGGER = logging.getLogger(__name__)


@contextmanager
def storage_lock(folder: Path) -> Iterator[None]:
    """Hold the storage folder against a node. Raises StoreError when one runs."""
    descriptor = lock_folder(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def sound_store(path: Path) -> Store:
    """The database at `path`, looked at as a whole. Raises DamagedDatabase."""
    store = Store.open(path)
    try:
        store.check()
    except StoreError:
        store.close()
        raise
    return store


def look_for_lost_records(store: Store, spool: Spool) -> None:
    """An empty database over a spool that is not was begun anew, and by hand."""
    if not store.studies(limit=1) and next(spool.received(), None) is not None:
        _LOGGER.warning(
            "The database knows no study, and there are images in the spool; dicom-node rebuild records them",
            extra={"action": "spool_unrecorded"},
        )


def lock_folder(folder: Path) -> int:
    """Hold the storage folder as the only node; the lock ends with the process. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(f"another dicom-node works in {folder}; stop it, or set node.storage elsewhere") from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used: {error.strerror}; set node.storage to a folder of this user"
        ) from error
    return descriptor
