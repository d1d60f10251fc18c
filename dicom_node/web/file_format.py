"""A DICOM file (PS3.10 7) as an arrival: what its file meta information says, and the bytes of its data set."""

from __future__ import annotations

import io
from typing import IO

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag, Tag

from dicom_node.domain.errors import CannotUnderstand
from dicom_node.identification import PARSE_ERRORS, Arrival
from dicom_node.spool import checked_uid

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_META_GROUP = 0x0002
#: No file meta information is longer; what is read of a part that is none, either.
_LONGEST_META_BYTES = 1 << 16

_MEDIA_STORAGE_SOP_CLASS_UID = Tag("MediaStorageSOPClassUID")
_MEDIA_STORAGE_SOP_INSTANCE_UID = Tag("MediaStorageSOPInstanceUID")
_TRANSFER_SYNTAX_UID = Tag("TransferSyntaxUID")
_NEEDED = (_MEDIA_STORAGE_SOP_CLASS_UID, _MEDIA_STORAGE_SOP_INSTANCE_UID, _TRANSFER_SYNTAX_UID)


def arrival_of(file: IO[bytes], source: str) -> Arrival:
    """Read a whole file from its beginning; its preamble and meta information are not kept.

    Raises CannotUnderstand when it is no DICOM file with the UIDs it must have (PS3.10 7.1).
    """
    if file.read(_PREAMBLE_BYTES + len(_PREFIX))[_PREAMBLE_BYTES:] != _PREFIX:
        raise CannotUnderstand("no DICOM file: without preamble and prefix (PS3.10 7.1)")
    begin = file.tell()
    uids, length = _meta(file.read(_LONGEST_META_BYTES))
    for tag in _NEEDED:  # nothing else is repeated in logs and answers
        checked_uid(uids.get(tag, ""), f"{keyword_for_tag(tag)} of the file meta information")
    file.seek(begin + length)
    return Arrival(
        dataset=file.read(),
        sop_class_uid=uids[_MEDIA_STORAGE_SOP_CLASS_UID],
        sop_instance_uid=uids[_MEDIA_STORAGE_SOP_INSTANCE_UID],
        transfer_syntax_uid=uids[_TRANSFER_SYNTAX_UID],
        calling_ae_title=source,
    )


def _meta(content: bytes) -> tuple[dict[BaseTag, str], int]:
    """The UIDs of the file meta information, and how long it is: up to the first element of another group."""
    stream = io.BytesIO(content)
    try:
        elements = data_element_generator(
            stream,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag.group != _META_GROUP,
        )
        uids = {
            element.tag: (element.value or b"").rstrip(b"\0 ").decode("ascii")
            for element in elements
            if isinstance(element, RawDataElement) and element.tag in _NEEDED
        }
    except PARSE_ERRORS as error:
        raise CannotUnderstand(f"no file meta information: {type(error).__name__}") from error
    if stream.tell() == len(content):
        raise CannotUnderstand("no data set after the file meta information")
    return uids, stream.tell()
