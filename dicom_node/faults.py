"""An unforeseen exception in words that are safe to log: its type and place, never its message.

Messages of libraries may quote what they choked on, and that may be a patient's name.
"""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import PurePath
from types import TracebackType


def type_and_place(error: BaseException) -> str:
    """`ValueError at reader.py:120`: the type, and the innermost line of the call stack."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}"


def call_path(error: BaseException) -> str:
    """Every place from the catcher to the raiser, outermost first: `worker.py:80 > reader.py:120`."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)


def tell_without_messages() -> None:
    """From now on what nobody catches is told by type and place; Python by itself would quote its message."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    sys.stderr.write(f"a fault of dicom-node: {type_and_place(error)} ({call_path(error)}); report it with this line\n")


def _uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None and caught.exc_type is not SystemExit:
        _uncaught(caught.exc_type, caught.exc_value, caught.exc_traceback)
