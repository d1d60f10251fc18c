"""Commands configure logging for a whole process; tests that run them within their own put it back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = ("pydicom", "pynetdicom", "highdicom", "py.warnings", "apscheduler")


@contextmanager
def logging_kept() -> Iterator[None]:
    """After the block, logging is as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in _NAMES}
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        logging.raiseExceptions = True
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
