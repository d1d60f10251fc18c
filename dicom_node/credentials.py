"""Secrets that lie in files: tokens and passwords, read when they are needed, so that a renewed one is used at once.

A secret is never in the configuration, the log, or an error.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from dicom_node.domain.errors import Fault, SettingsError
from dicom_node.domain.web import Credentials, Scheme

#: No token or password is longer.
_LONGEST_BYTES = 1 << 16


def authorization(credentials: Credentials) -> str:
    """The value of the Authorization field (RFC 9110 11.6.2). Raises SettingsError for a file that cannot be used."""
    secret = read_secret(credentials.file)
    if credentials.scheme is Scheme.BEARER:
        return f"{Scheme.BEARER} {secret}"
    if ":" not in secret:
        raise _unusable(credentials.file, "holds no user name and password", "write `user:password` into it")
    return f"{Scheme.BASIC} {base64.b64encode(secret.encode()).decode()}"


def read_secret(path: Path) -> str:
    """The one line of a file that only its owner may read. Raises SettingsError with the remedy otherwise."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LONGEST_BYTES)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise _unusable(path, problem, "name a file that the node's user may read") from error
    if stat.S_IMODE(mode) & 0o077:
        raise _unusable(path, "may be read by others", f"`chmod 600 {path}`, and have the secret renewed")
    text = content.decode("ascii", errors="replace").strip()
    if not text or not text.isprintable() or not text.isascii():
        raise _unusable(path, "holds no single line of printable ASCII", "write the secret into it, and nothing else")
    return text


def _unusable(path: Path, problem: str, remedy: str) -> SettingsError:
    return SettingsError((Fault(str(path), None, "secret", problem, remedy),))
