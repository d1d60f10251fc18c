"""The beginning of a data set, read in one pass."""

import struct
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicom_node import identification
from dicom_node.identification import Arrival, identity_in
from dicom_node.plain_head import Wanted, plain_head
from tests.builders.datasets import mr_series

MODALITY, SERIES, PRIORITY = 0x00080060, 0x0020000E, 0x00401003
WANTED = Wanted(frozenset({MODALITY, SERIES, PRIORITY}), SERIES, PRIORITY)


def encoded(dataset, *, is_implicit_vr):
    """As a data set without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = is_implicit_vr, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def head_of(dataset, *, is_implicit_vr):
    """What is found in it."""
    return plain_head(encoded(dataset, is_implicit_vr=is_implicit_vr), WANTED, is_implicit_vr=is_implicit_vr)


def an_image(**changes):
    """With something before, between and behind what is wanted."""
    dataset = Dataset()
    dataset.Modality, dataset.SeriesInstanceUID, dataset.RequestedProcedurePriority = "MR", "1.2.3", "STAT"
    dataset.PixelData = bytes(10)
    dataset["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("is_implicit_vr", [True, False])
def test_what_is_wanted_is_found_over_what_is_not(is_implicit_vr):
    """Sequences of known length are stepped over, and nothing behind the last is looked at."""
    item = an_image(Modality="CT")
    found = head_of(an_image(ReferencedStudySequence=Sequence([item])), is_implicit_vr=is_implicit_vr)
    assert found == {MODALITY: b"MR", SERIES: b"1.2.3\0", PRIORITY: b"STAT"}


@pytest.mark.parametrize("is_implicit_vr", [True, False])
def test_undefined_length_is_for_a_better_reader_among_what_is_needed(is_implicit_vr):
    """Behind that reading ends there."""
    early = an_image(ReferencedStudySequence=Sequence([Dataset()]))
    early["ReferencedStudySequence"].is_undefined_length = True
    late = an_image(RequestAttributesSequence=Sequence([Dataset()]))
    late["RequestAttributesSequence"].is_undefined_length = True
    assert head_of(early, is_implicit_vr=is_implicit_vr) is None
    assert head_of(late, is_implicit_vr=is_implicit_vr) == {MODALITY: b"MR", SERIES: b"1.2.3\0"}


def test_no_part_of_a_head_counts_as_one():
    """However it is cut off before the element at which reading ends."""
    content = encoded(an_image(), is_implicit_vr=False)
    end = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    assert {plain_head(content[:length], WANTED, is_implicit_vr=False) is None for length in range(end + 8)} == {True}
    assert plain_head(content, WANTED, is_implicit_vr=False) is not None


@pytest.mark.parametrize("second", [b"\x08\0\x05\0CS\x02\0IR", b"\x08\0\x60\0CS\x02\0CT", b"\x08\0\x61\0ZZ\x02\0CT"])
def test_what_is_unusual_is_for_a_better_reader(second):
    """Elements out of order or twice, and value representations that nobody knows."""
    first, last = b"\x08\0\x60\0CS\x02\0MR", b"\xe0\x7f\x10\0OW\0\0\0\0\0\0"
    assert plain_head(first + last, WANTED, is_implicit_vr=False) == {MODALITY: b"MR"}
    assert plain_head(first + second + last, WANTED, is_implicit_vr=False) is None


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_it_finds_what_pydicom_finds(monkeypatch, syntax):
    """In an image with everything that images have."""
    image = mr_series()[0]
    content = encoded(image, is_implicit_vr=syntax == "1.2.840.10008.1.2")
    arrival = Arrival(content, image.SOPClassUID, image.SOPInstanceUID, syntax, "PACS")
    quickly = identity_in(BytesIO(content), arrival)
    monkeypatch.setattr(identification, "plain_head", lambda *_, **__: None)
    assert identity_in(BytesIO(content), arrival) == quickly
