"""What is told of errors that nobody foresaw: where they are, never what they say."""

import logging
import sys
import threading

import pytest

from dicom_node.faults import tell_without_messages
from dicom_node.logs import configure_logging
from tests.builders.logs import logging_kept

SECRET = "Doe-Jane"


class Closed:
    """A stream that takes nothing, as standard error on a full disk."""

    def write(self, _text):
        """Never."""
        raise OSError(SECRET)

    def flush(self):
        """Nothing."""


@pytest.fixture
def hooks(monkeypatch):
    """Those of this process are put back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    tell_without_messages()


def break_off():
    """As a library does."""
    raise ValueError(SECRET)


@pytest.mark.usefixtures("hooks")
def test_what_nobody_catches_is_told_by_type_and_place(capsys):
    """In the main thread and in others; a thread that ends by SystemExit is none."""
    with pytest.raises(ValueError, match=SECRET) as caught:
        break_off()
    sys.excepthook(caught.type, caught.value, caught.tb)
    for target in (break_off, sys.exit):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    told = capsys.readouterr().err
    assert told.count("a fault of dicom-node: ValueError at test_faults.py:") == 2
    assert SECRET not in told
    assert "Traceback" not in told


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(capsys):
    """Logging by itself would write a traceback, of the error at hand, too."""
    with logging_kept():
        configure_logging("info")
        [handler] = logging.getLogger().handlers
        handler.setStream(Closed())
        try:
            break_off()
        except ValueError:
            logging.getLogger("dicom_node").error("it broke off")  # noqa: TRY400  # as the node does
    assert capsys.readouterr().err == ""
