"""What is read without pydicom is what pydicom reads, or left to it."""

import contextlib
import random
import warnings
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dicom_node.domain.errors import ReadError
from dicom_node.plain_elements import NotPlain, NotWhole
from dicom_node.plain_files import plain_file, plain_header
from dicom_node.reader import LoadSettings, load_study
from dicom_node.unreadable import explained
from dicom_node.usable_headers import drop_undecodable, is_read
from tests.builders.datasets import colour_ultrasound, ct_series, encoded, enhanced_mr, mr_series, radiograph, uid

SHAPE = (1, 8, 6)
PIXELS = np.arange(48, dtype=np.uint16).reshape(SHAPE)


def image(**attributes):
    """A CT image with padding, which differs by sign, and text in a character set."""
    [dataset] = ct_series(
        SHAPE,
        **{"pixels": PIXELS, "PixelPaddingValue": 63536, "PatientName": "Müller^Jörg", "InstanceNumber": "3"}
        | attributes,
    )
    return dataset


def nested(is_undefined_length, **attributes):
    """An image that refers to others, by sequences within a sequence."""
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.PurposeOfReferenceCodeSequence = Sequence([Dataset(), Dataset()])
    item.PurposeOfReferenceCodeSequence[1].CodeValue = "121311"
    dataset = image(ReferencedImageSequence=[item, item, Dataset()], **attributes)
    for sequence in (dataset["ReferencedImageSequence"], item["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = is_undefined_length
        for each in sequence.value:
            each.is_undefined_length_sequence_item = is_undefined_length
    return dataset


def in_file(dataset, syntax=ExplicitVRLittleEndian):
    """As the content of a file."""
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(
            buffer,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
    return buffer.getvalue()


def by_pydicom(content, keywords):
    """The values pydicom reads, those it cannot convert left out, and where the pixels begin. Raises ReadError."""
    with explained("cannot be parsed"):
        file = BytesIO(content)
        header = pydicom.dcmread(file, stop_before_pixels=True)
        drop_undecodable(header, is_read)
        return {keyword: told(header.get(keyword)) for keyword in keywords}, file.tell()


def told(value):
    """A value, whatever type stands for it."""
    if isinstance(value, MultiValue | tuple | list):
        return tuple(told(item) for item in value)
    return value if value is None else float(value) if isinstance(value, int | float) else str(value)


def agrees(content):
    """Whether it is read without pydicom; then pydicom must read the same."""
    try:
        with explained("must not raise"):
            header, end = plain_header(content)
    except NotPlain:
        return False
    values, pixels_at = by_pydicom(content, header.values)
    assert {keyword: told(value) for keyword, value in header.values.items()} == values
    assert (end, header.content) == (pixels_at, content[:pixels_at])
    return True


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    "make",
    [
        image,
        lambda: image(PixelRepresentation=1, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990),
        lambda: image(PatientName="Yamada^Tarou=山田^太郎", SpecificCharacterSet=["", "ISO 2022 IR 87"]),
        lambda: image(PatientID="a\\b", ImageType="ORIGINAL", WindowCenter=["40", "300"], WindowWidth=["80", "1500"]),
        lambda: image(PatientID="", WindowCenter="", AcquisitionNumber=None, SpecificCharacterSet=None),
        lambda: nested(is_undefined_length=False),
        lambda: nested(is_undefined_length=True),
        lambda: mr_series(SHAPE, pixels=PIXELS)[0],
        lambda: radiograph(SHAPE[1:], pixels=PIXELS[0]),
        lambda: radiograph(SHAPE[1:], pixels=PIXELS[0], modality="CR", BitsAllocated=16, BitsStored=10),
    ],
)
def test_it_reads_what_pydicom_reads(make, syntax):
    """Values, signs, character sets, and where the pixels begin."""
    assert agrees(in_file(make(), syntax))


@pytest.mark.parametrize(
    ("dataset", "syntax"),
    [
        (image(), ExplicitVRBigEndian),
        (image(BitsAllocated=12), ExplicitVRLittleEndian),
        (image(VOILUTSequence=[Dataset()]), ExplicitVRLittleEndian),
        (image(PixelData=None), ExplicitVRLittleEndian),
        (colour_ultrasound((8, 6), pixels=np.zeros((8, 6, 3))), ExplicitVRLittleEndian),
        (enhanced_mr((2, 8, 6), pixels=np.zeros((2, 8, 6))), ExplicitVRLittleEndian),
    ],
)
def test_what_is_unusual_is_for_pydicom(dataset, syntax):
    """Other pixels, and tables and functional groups, which are data sets of their own."""
    assert not agrees(in_file(dataset, syntax))


ITEM = b"\xfe\xff\x00\xe0"


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        (b"\x10\0\x10\0PN", b"\x08\0\x60\0CS\x02\0MR\x10\0\x10\0PN"),  # Modality again, behind what follows it
        (b"\x28\0\x20\1US\x02\0", b"\x28\0\x20\1UN\0\0\x02\0\0\0"),  # Pixel Padding Value, of which kind?
        (ITEM + b"\x0e\0\0\0\x08\0\x55\x11", ITEM + b"\x0c\0\0\0\x08\0\x55\x11"),  # an item shorter than its content
        (ITEM + b"\x0e\0\0\0\x08\0\x55\x11UI", ITEM + b"\x0e\0\0\0\x08\0\5\0CS"),  # with its own character set
    ],
)
def test_what_has_several_meanings_is_for_pydicom(found, instead):
    """Structures that a reader may take one way or another."""
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    dataset = image(ReferencedImageSequence=[item])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    content = in_file(dataset)
    assert content.count(found) == 1
    assert agrees(content)
    assert not agrees(content.replace(found, instead))


def test_compressed_pixels_are_for_pydicom():
    """As are all that are encapsulated."""
    dataset = image()
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert not agrees(in_file(dataset, RLELossless))


def test_a_header_that_is_not_whole_is_not_read():
    """Wherever it is cut off; the pixels themselves need not be there."""
    content = in_file(nested(is_undefined_length=True))
    _, end = plain_header(content)
    for length in range(132, end + 4):
        with pytest.raises(NotWhole):
            plain_header(content[:length])
    assert plain_header(content[: end + 12])[1] == end


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_damage_is_seen_or_does_not_matter(syntax):
    """Bytes are changed anywhere: what is still read is what pydicom reads of it."""
    chance, read = random.Random(11), 0
    contents = [in_file(make, syntax) for make in (nested(is_undefined_length=True), nested(is_undefined_length=False))]
    for content in contents:
        _, end = plain_header(content)
        for _ in range(600):
            damaged = bytearray(content)
            for _ in range(chance.choice((1, 2, 5))):
                damaged[chance.randrange(128, end + 4)] = chance.choice(
                    (0, 0x20, 0x5C, 0x7E, 0xFF, chance.randrange(256))
                )
            read += agrees(bytes(damaged))
    assert read > 200


def test_a_long_header_is_read_as_a_whole(tmp_path):
    """Also where it is longer than what is read at first; one that is longer than that is for pydicom."""
    for length, is_plain in ((30_000, True), (2_000_000, False)):
        path = tmp_path / "image.dcm"
        path.write_bytes(in_file(image(EncapsulatedDocument=bytes(length))))
        found = plain_file(path)
        assert (found is not None) == is_plain
        assert found is None or found[1] > length


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_study_is_the_same_without_it(tmp_path, monkeypatch, syntax):
    """Pixels, geometry, windows, reasons and the headers that results are made from."""
    pixels = np.arange(5 * 48, dtype=np.uint16).reshape(5, 8, 6)
    datasets = [
        *ct_series(pixels.shape, pixels=pixels, PixelPaddingValue=7, BitsStored=12, HighBit=11),
        *mr_series(pixels.shape, pixels=pixels, PhotometricInterpretation="MONOCHROME1"),
        *mr_series(pixels.shape, pixels=pixels, series="other", PatientID="another"),
        radiograph((8, 6), pixels=pixels[0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        mr_series(SHAPE, pixels=PIXELS, series="short", PixelData=bytes(10))[0],
    ]
    paths = [tmp_path / f"{number:02}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(in_file(dataset, syntax))
    study = load_study(uid("study"), paths, LoadSettings())
    monkeypatch.setattr("dicom_node.decoding.plain_file", lambda _: None)
    other = load_study(uid("study"), paths, LoadSettings())
    assert len(study.volumes) == 2
    assert len(study.exclusions) == 7
    assert study.exclusions == other.exclusions
    assert dict(study.headers) == dict(other.headers)
    for volume, same in zip(study.volumes, other.volumes, strict=True):
        assert np.array_equal(volume.pixels, same.pixels)
        assert np.array_equal(volume.affine, same.affine)
        assert (volume.frames, volume.window, volume.stated) == (same.frames, same.window, same.stated)


def test_what_reading_does_not_look_at_cannot_be_asked():
    """It has not been made usable."""
    header, _ = plain_header(encoded(image()))
    assert header.get("IssuerOfPatientID") is None
    with pytest.raises(KeyError):
        header.get("PatientSex")


def test_real_errors_stay_pydicoms():
    """A file that pydicom cannot parse is not read here either."""
    for content in (b"", bytes(300), in_file(image())[:200]):
        with pytest.raises(NotPlain):
            plain_header(content)
        with contextlib.suppress(ReadError):
            by_pydicom(content, ())
