"""How the node writes its log: one line an event, in UTC, nothing of a patient."""

from __future__ import annotations

import logging
import time

#: Libraries that quote header values in what they log; what matters of it, the node logs itself.
_SILENCED = ("highdicom", "pydicom", "pynetdicom", "py.warnings", "uvicorn")
#: Libraries that tell each step of what they do; schedule.py tells what goes wrong in a task.
_TALKATIVE = ("apscheduler", "faster_coco_eval")
#: Characters that would begin a line of their own, or speak to a terminal (Unicode categories Cc, Zl and Zp).
_UNPRINTED = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), "?")


class _UtcFormatter(logging.Formatter):
    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Epoch seconds in UTC; logging asks here."""
        return time.gmtime(seconds)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """One event is one line, whatever a caller has written into his UIDs or his AE title."""
        record.message = record.message.translate(_UNPRINTED)
        return super().formatMessage(record)


def configure_logging(level: str) -> None:
    """Write lines of `level` and above to standard error; called once, by a process's entry point."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _UtcFormatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s [%(action)s] %(message)s",
            datefmt="%Y-%m-%dT%H:%M:%S",
            defaults={"action": "-"},
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # a line that cannot be written is lost; logging would write a traceback instead, and that quotes messages
    logging.raiseExceptions = False
    for name in (*_SILENCED, *_TALKATIVE):
        logging.getLogger(name).setLevel(logging.CRITICAL)
