"""What stands for a patient in the audit trail: nothing, a keyed hash of the Patient ID (0010,0020), or the ID."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydicom import dcmread
from pydicom.tag import Tag

from dicom_node.durable_files import sync_folder
from dicom_node.unreadable import UNREADABLE

_PATIENT_ID = Tag("PatientID")
_KEY_BYTES = 32

#: The DICOM file of an instance -> what stands for its patient; empty where nothing does.
Identify = Callable[[Path], str]


def identification(kind: Literal["none", "hashed", "plain"], key_file: Path) -> Identify:
    """How patients are named. `key_file` is made when hashes are wanted and it is not there. Raises OSError."""
    if kind == "none":
        return lambda _path: ""
    if kind == "plain":
        return patient_id_of
    key = hash_key(key_file)
    return lambda path: hashed(patient_id_of(path), key)


def patient_id_of(path: Path) -> str:
    """The Patient ID as it stands in a DICOM file; empty where there is none, or no such file.

    Its bytes are taken as they are: pydicom's conversion warns of odd values, and quotes them.
    """
    try:
        found = dcmread(path, stop_before_pixels=True, specific_tags=[_PATIENT_ID]).get_item(_PATIENT_ID)
    except UNREADABLE:
        return ""
    value = getattr(found, "value", None)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def hashed(patient_id: str, key: bytes) -> str:
    """HMAC-SHA-256 of a Patient ID: the same for the same patient, and nobody without the key can try IDs out."""
    return f"hmac-sha256:{hmac.new(key, patient_id.encode(), hashlib.sha256).hexdigest()}" if patient_id else ""


def hash_key(path: Path) -> bytes:
    """The key in the file at `path`, made by whichever process comes first; for its user only. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(new)
    except FileExistsError:  # another process was faster
        pass
    finally:
        new.unlink()
    sync_folder(path.parent)
    return path.read_bytes()
