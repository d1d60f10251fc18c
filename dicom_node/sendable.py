"""What keeps a file from being sent, whichever way: it is gone, or no DICOM file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.errors import InvalidDicomError

from dicom_node.domain.errors import ObjectRejected
from dicom_node.faults import type_and_place


@contextmanager
def meta_of_file(path: Path) -> Iterator[None]:
    """What reading the file meta information (PS3.10) at `path` in the block runs into, as ObjectRejected."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectRejected(f"{path} is gone; it cannot be sent") from error
    except (OSError, InvalidDicomError, AttributeError) as error:
        raise ObjectRejected(f"{path} is no DICOM file with file meta information: {_safe(error)}") from error


def _safe(error: Exception) -> str:
    """The system's own words; those of pydicom may quote the file."""
    return error.strerror or type_and_place(error) if isinstance(error, OSError) else type_and_place(error)
