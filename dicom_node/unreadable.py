"""The one boundary at which what pydicom and its decoders raise over a bad file becomes a ReadError with its reason."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import BytesLengthException, InvalidDicomError

from dicom_node.domain.errors import ReadError

#: What pydicom 3 and the decoders it calls raise over bad input. The list is long because pydicom converts values
#: lazily and lets each conversion's own error through; what is not in it (AssertionError, for one) is a fault of ours.
UNREADABLE: tuple[type[Exception], ...] = (
    InvalidDicomError,  # no preamble and no prefix DICM
    BytesLengthException,  # a value whose length does not fit its VR
    AttributeError,  # an attribute the decoder needs is absent
    ArithmeticError,  # numbers too large or not finite, sizes that overflow
    BufferError,  # an element's value withdrawn while a decoder reads it
    EOFError,  # the file ends within an element
    LookupError,  # unknown VR or tag, an index past the frames
    MemoryError,  # a length or a matrix that no machine holds
    OSError,  # the file cannot be opened or read
    StopIteration,  # fewer frames in the stream than stated
    RuntimeError,  # every decoder gave up; nested too deeply; not implemented
    TypeError,  # several values where one belongs, or none
    ValueError,  # values that are not what their VR says, text in no known character set
    struct.error,  # binary numbers cut short
    zlib.error,  # a broken deflated data set
)


@contextmanager
def explained(problem: str) -> Iterator[None]:
    """Raise a foreign error from the block as `ReadError(problem)`, and keep pydicom silent meanwhile.

    The reason names the error's class and never its text, which may carry patient data.
    """
    with silent(), reasoned(problem):
        yield


@contextmanager
def silent() -> Iterator[None]:
    """Keep pydicom silent, in all threads: enter it in one of them only.

    Its warnings and log records quote values of the data set, so that they could carry patient data; what matters of
    them is in the reason.
    """
    pydicom_log = logging.getLogger("pydicom")
    propagate, pydicom_log.propagate = pydicom_log.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom_log.propagate = propagate


@contextmanager
def reasoned(problem: str) -> Iterator[None]:
    """`explained` for a thread of several, while another keeps them `silent`."""
    try:
        yield
    except UNREADABLE as error:
        raise ReadError(f"{problem} ({type(error).__name__})") from error
