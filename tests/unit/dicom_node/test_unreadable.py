"""Foreign errors become reasons, and nothing a library says on the way leaks."""

import logging
import struct
import warnings
import zlib

import pytest

from dicom_node.domain.errors import ReadError
from dicom_node.unreadable import explained


@pytest.mark.parametrize(
    "error", [KeyError("x"), struct.error("x"), zlib.error("x"), OSError("x"), RecursionError("x"), StopIteration("x")]
)
def test_reason_names_the_class_and_not_the_text(error):
    """The reason holds what was tried and the error's class; its text, which may quote patient data, stays out."""
    secret = type(error)("Doe^Jane")
    with pytest.raises(ReadError) as caught, explained("cannot be parsed"):
        raise secret
    assert str(caught.value) == f"cannot be parsed ({type(error).__name__})"
    assert caught.value.__cause__ is secret


def test_own_errors_pass_unchanged():
    """A ReadError already has its reason; a failed assertion is a fault of ours and is not hidden."""
    with pytest.raises(ReadError, match="own reason"), explained("other"):
        raise ReadError("own reason")
    with pytest.raises(AssertionError), explained("other"):
        raise AssertionError


def test_pydicom_is_silent_within(caplog):
    """Warnings and log records of pydicom stay inside, and its logger is as before afterwards."""
    with explained("nothing"):
        warnings.warn("Invalid value Doe^Jane", stacklevel=1)
        logging.getLogger("pydicom.pixels").warning("Invalid value Doe^Jane")
    assert caplog.records == []
    logging.getLogger("pydicom").warning("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]
