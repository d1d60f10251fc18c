"""The key that pseudonyms are made with: a file of its own, for the node's user alone.

Who has it can tell which pseudonym a known Patient ID has; who has not cannot, however many IDs he tries.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import stat
from pathlib import Path

from dicom_node.domain.errors import Fault, NodeError, SettingsError

KEY_BYTES = 32
#: Of 32 bytes by chance about 30 are different; below this they were typed or counted.
_FEWEST_DIFFERENT = 16
_LARGEST_FILE = 4096
_HEX = re.compile(rb"[0-9A-Fa-f]+")
_MAKE = "make one with `dicom-node research-key FILE`, or `openssl rand -hex 32`"


def read_key(path: Path) -> bytes:
    """The key in the file at `path`: hexadecimal digits, or bytes as they are.

    Raises SettingsError, with the remedy, for a file that others may read, and for a key that somebody could guess.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LARGEST_FILE)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}", _MAKE) from error
    if mode & 0o077:
        raise _refused(path, f"others than its owner may read it (mode {mode:04o})", "chmod 600, or make a new one")
    problem, key = _judged(content)
    if problem:
        raise _refused(path, problem, _MAKE)
    return key


def make_key(path: Path) -> None:
    """A new key, for the owner alone. Raises NodeError where the file exists: copies made with it would lose theirs."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise NodeError(f"{path} exists; another key would give every patient another pseudonym") from error
    except OSError as error:
        raise NodeError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(file.fileno())


def _judged(content: bytes) -> tuple[str, bytes]:
    """What is wrong with a key, empty for nothing, and its bytes."""
    digits = content.strip(b"\r\n")
    is_hex = _HEX.fullmatch(digits) is not None and len(digits) % 2 == 0
    key = bytes.fromhex(digits.decode()) if is_hex else content
    if len(key) < KEY_BYTES:
        return f"is of {len(key)} bytes; at least {KEY_BYTES} are needed", key
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if min(len(set(key)), len(steps)) < _FEWEST_DIFFERENT:
        return "is not random: its bytes repeat or follow each other", key
    if not is_hex and key.isascii():
        return "is a text, and no hexadecimal number; a text can be guessed", key
    return "", key


def _refused(path: Path, problem: str, remedy: str) -> SettingsError:
    return SettingsError((Fault(str(path), None, "research.key_file", problem, remedy),))
