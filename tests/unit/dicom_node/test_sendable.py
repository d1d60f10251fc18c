"""What a file's meta information says, read plainly where it is plain."""

import struct

import pytest
from pydicom import dcmread, uid
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from dicom_node import sendable
from dicom_node.domain.errors import ObjectRejected
from dicom_node.sendable import opened
from tests.builders.network import image_series, saved


@pytest.fixture
def image(tmp_path):
    """A file as this node and most others write them."""
    return saved(image_series()[0], tmp_path)


@pytest.fixture
def by_pydicom(monkeypatch):
    """How often pydicom had to read."""
    calls, read = [], sendable._described_by_pydicom
    monkeypatch.setattr(sendable, "_described_by_pydicom", lambda file: calls.append(file) or read(file))
    return calls


def described(path):
    """All that is known of the file, and its data set."""
    with opened(path) as stored:
        content = stored.file.read()
        assert len(content) == stored.size
        return stored.sop_class_uid, stored.sop_instance_uid, stored.transfer_syntax_uid, content


def with_length(path, change):
    """The same file, whose group length says something else."""
    content = bytearray(path.read_bytes())
    [length] = struct.unpack_from("<L", content, 140)
    struct.pack_into("<L", content, 140, change(length))
    path.write_bytes(content)


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian]
)
def test_a_plain_file_is_read_without_pydicom(tmp_path, by_pydicom, syntax):
    """Whatever the encoding of its data set, to which its meta information says nothing."""
    dataset, path = image_series()[0], tmp_path / "one.dcm"
    dataset.file_meta.TransferSyntaxUID = syntax
    dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
    found = described(path)
    assert by_pydicom == []
    assert found[:3] == (dataset.SOPClassUID, dataset.SOPInstanceUID, syntax)
    assert path.read_bytes().endswith(found[3])
    assert len(found[3]) == path.stat().st_size - 144 - dcmread(path).file_meta.FileMetaInformationGroupLength


@pytest.mark.parametrize(
    "change", [lambda n: 0, lambda n: n - 20, lambda n: n - 2, lambda n: n + 2, lambda n: n + 30, lambda n: 2**32 - 1]
)
def test_a_length_that_is_wrong_is_not_believed(image, by_pydicom, change):
    """The data set begins where the group ends."""
    true = described(image)
    with_length(image, change)
    assert described(image) == true
    assert len(by_pydicom) == 1


def test_without_a_length_it_is_read_with_more_care(tmp_path, by_pydicom):
    """Group length is required, and missing at times."""
    dataset = image_series()[0]
    buffer = DicomBytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    content = buffer.getvalue()
    path = tmp_path / "one.dcm"
    path.write_bytes(content[:132] + content[144:])
    assert described(path)[1] == dataset.SOPInstanceUID
    assert len(by_pydicom) == 1


@pytest.mark.parametrize("size", [0, 100, 131, 135, 143, 150, 300])
def test_a_file_that_is_cut_short_is_rejected(image, size):
    """Wherever it ends before its data set begins."""
    image.write_bytes(image.read_bytes()[:size])
    with pytest.raises(ObjectRejected, match="is no DICOM file"):
        described(image)
