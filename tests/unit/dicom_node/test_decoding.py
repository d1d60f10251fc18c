"""Stored bytes become the modality's numbers: look-up tables, windows, reflection, padding and colour."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import convert_color_space, pixel_array
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.assembling import Assembly
from dicom_node.decoding import LARGEST_FRAME, LARGEST_INSTANCE, Picture, decode, read_header, refuse_unreadable
from dicom_node.domain.errors import ReadError
from dicom_node.frames import frame_headers
from inference.volume import Window
from tests.builders.datasets import mr_series

NAN = float("nan")


@pytest.fixture
def numbers_of(tmp_path):
    """Decodes a data set by way of a file."""

    def through_file(dataset):
        path = tmp_path / "image.dcm"
        dataset.save_as(path, enforce_file_format=True)
        instance = read_header(path)
        refuse_unreadable(instance.header)
        return tuple(decode(instance, frame_headers(instance.header)))

    return through_file


def image(stored, **attributes):
    """An MR image of the stored values in their own type, without a window, and `attributes`."""
    stored = np.asarray(stored)
    bits = 8 * stored.dtype.itemsize
    data = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    [dataset] = mr_series(
        (1, *stored.shape[:2]),
        **{
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": int(stored.dtype.kind == "i"),
            "PixelData": data,
            "WindowCenter": None,
            "WindowWidth": None,
        }
        | attributes,
    )
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


def lut(descriptor, data, vr="OW"):
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if descriptor[1] >= 0 else "SS", list(descriptor))
    item.add_new("LUTData", vr, data)
    return item


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
def test_stored_values_of_every_width_come_out(numbers_of, dtype):
    """Grey values of 8, 16 and 32 bit, signed or not, come out as float32 numbers."""
    stored = np.array([[0, 1, 2], [3, 4, 100]], dtype=dtype) - np.array(5 if dtype[0] == "i" else 0, dtype=dtype)
    [picture] = numbers_of(image(stored))
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.tolist() == stored.tolist()


def test_unused_high_bits_do_not_count(numbers_of):
    """Twelve bits stored in sixteen leave room for overlays, which are no grey values."""
    [picture] = numbers_of(image(np.array([[0xF123, 0x0123]], dtype=np.uint16), BitsStored=12, HighBit=11))
    assert picture.pixels.tolist() == [[0x123, 0x123]]


def test_float_pixel_data_and_its_padding(numbers_of):
    """Float pixels are taken as they are; their own padding value and what is not finite are padding."""
    stored = np.array([[0.5, -1.0, np.inf, 7.0]], dtype=np.float32)
    dataset = image(stored, PixelData=None, FloatPixelPaddingValue=7.0)
    dataset.FloatPixelData = stored.tobytes()
    for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    [picture] = numbers_of(dataset)
    assert picture.pixels.tolist()[0] == pytest.approx([0.5, -1.0, NAN, NAN], nan_ok=True)


@pytest.mark.parametrize(
    ("rescale", "expected"),
    [
        ({"RescaleSlope": "2", "RescaleIntercept": "-1024"}, [-1024, -1022, -1004]),
        ({"RescaleSlope": "0.5", "RescaleIntercept": "0"}, [0, 0.5, 5]),
        ({"RescaleSlope": "0", "RescaleIntercept": "5"}, [0, 1, 10]),
        ({}, [0, 1, 10]),
    ],
)
def test_rescale_gives_modality_units(numbers_of, rescale, expected):
    """Slope and intercept apply; a slope of zero, which would wipe the picture out, does not."""
    [picture] = numbers_of(image(np.array([[0, 1, 10]], dtype=np.uint16), **rescale))
    assert picture.pixels.tolist() == [expected]


@pytest.mark.parametrize(
    ("descriptor", "data", "stored", "expected"),
    [
        ((3, 10, 16), np.array([7, 8, 900], "<u2").tobytes(), [9, 10, 11, 99], [7, 7, 8, 900]),  # ends hold outside
        ((3, 10, 12), [7, 8, 900], [10, 11, 12, 13], [7, 8, 900, 900]),
        ((4, 0, 8), bytes([5, 6, 7, 8]), [0, 1, 2, 3], [5, 6, 7, 8]),  # eight bits packed in words
        ((512, 0, 8), np.arange(512).astype("<u2").tobytes(), [0, 255, 256, 511], [0, 255, 256, 511]),
    ],
)
def test_modality_lut_maps_stored_values(numbers_of, descriptor, data, stored, expected):
    """A Modality LUT maps from its first value on, however wide its entries are packed."""
    item = lut(descriptor, data, "OW" if isinstance(data, bytes) else "US")
    dataset = image(np.array([stored], dtype=np.uint16), ModalityLUTSequence=[item])
    assert numbers_of(dataset)[0].pixels.tolist() == [expected]


def test_voi_lut_applies_only_without_a_window(numbers_of):
    """A VOI LUT makes display values and their whole range the window; where there is a window, that counts."""
    item = lut((3, -1, 8), [0, 100, 255], "US")
    stored = np.array([[-1, 0, 1]], dtype=np.int16)
    [picture] = numbers_of(image(stored, VOILUTSequence=[item]))
    assert picture.pixels.tolist() == [[0, 100, 255]]
    assert (picture.window.lower, picture.window.upper) == (0, 255)
    [windowed] = numbers_of(image(stored, VOILUTSequence=[item], WindowCenter="0", WindowWidth="3"))
    assert windowed.pixels.tolist() == stored.tolist()


@pytest.mark.parametrize(
    ("attributes", "bounds"),
    [
        ({"WindowCenter": "40", "WindowWidth": "400"}, (-160, 239)),  # 40 - 0.5 -+ 399 / 2
        ({"WindowCenter": ["40", "500"], "WindowWidth": ["400", "2000"]}, (-160, 239)),
        ({"WindowCenter": "40", "WindowWidth": "400", "VOILUTFunction": "LINEAR_EXACT"}, (-160, 240)),
        ({"WindowCenter": "40", "WindowWidth": "400", "VOILUTFunction": "SIGMOID"}, (-160, 240)),
        ({"WindowCenter": "0.5", "WindowWidth": "1"}, (0, 1)),
        ({"WindowCenter": "40", "WindowWidth": "0"}, None),
        ({"WindowCenter": "40"}, None),
    ],
)
def test_window_bounds_follow_the_voi_function(numbers_of, attributes, bounds):
    """The first window becomes the bounds that its VOI LUT function draws black and white at."""
    [picture] = numbers_of(image(np.zeros((2, 2), dtype=np.uint16), **attributes))
    assert (picture.window and (picture.window.lower, picture.window.upper)) == bounds


@pytest.mark.parametrize(
    ("attributes", "is_padding"),
    [
        ({"PixelPaddingValue": -2000}, [True, False, False, False]),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}, [True, True, False, False]),
        ({"PixelPaddingValue": 3000, "PixelPaddingRangeLimit": 100}, [False, False, True, True]),
        ({}, [False, False, False, False]),
    ],
)
def test_padding_is_marked(numbers_of, attributes, is_padding):
    """The padding value, or the range to its limit in either direction, becomes NaN before any rescale is seen."""
    stored = np.array([[-2000, -1500, 100, 3000]], dtype=np.int16)
    [picture] = numbers_of(image(stored, RescaleSlope="2", RescaleIntercept="1", **attributes))
    assert np.isnan(picture.pixels).tolist() == [is_padding]


def test_padding_written_unsigned_for_signed_pixels_counts(numbers_of):
    """63536 in an unsigned element means the -2000 that signed pixels hold."""
    dataset = image(np.array([[-2000, 5]], dtype=np.int16))
    dataset.add_new("PixelPaddingValue", "US", 63536)
    assert np.isnan(numbers_of(dataset)[0].pixels).tolist() == [[True, False]]


def colour_image(stored, **attributes):
    """An image of three samples per pixel."""
    return image(stored, SamplesPerPixel=3, PlanarConfiguration=0, **{"PhotometricInterpretation": "RGB"} | attributes)


def test_rgb_stays(numbers_of):
    """Eight-bit RGB comes out as it is, sixteen-bit RGB scaled to 0..255."""
    stored = np.array([[[0, 128, 255], [1, 2, 3]]], dtype=np.uint8)
    assert numbers_of(colour_image(stored))[0].pixels.tolist() == stored.tolist()
    wide = numbers_of(colour_image(stored.astype(np.uint16) * 257))[0].pixels
    assert wide.tolist() == pytest.approx(stored)


def test_planes_and_ybr_become_interleaved_rgb(numbers_of):
    """Colour by plane and YBR_FULL come out as RGB."""
    rgb = np.array([[[200, 30, 40], [10, 220, 60]], [[90, 90, 90], [0, 0, 255]]], dtype=np.uint8)
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL")
    planes = np.ascontiguousarray(ybr.transpose(2, 0, 1))
    dataset = colour_image(ybr, PhotometricInterpretation="YBR_FULL")
    dataset.PixelData, dataset.PlanarConfiguration = planes.tobytes(), 1
    assert np.abs(numbers_of(dataset)[0].pixels - rgb).max() <= 2  # YBR holds whole numbers


def palette_image(entries, bits, **attributes):
    """A palette image whose three palettes are `entries`, twice and half of them."""
    dataset = image(np.array([[0, 1, 2, 3]], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", **attributes)
    for colour, factor in (("Red", 1), ("Green", 2), ("Blue", 0.5)):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [len(entries), 0, bits])
        values = (np.array(entries) * factor).astype("u1" if bits == 8 else "u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableData", values.tobytes())
    return dataset


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 257)])
def test_palettes_become_rgb(numbers_of, bits, scale):
    """Palette colours come out in 0..255 whatever the width of the palette."""
    [picture] = numbers_of(palette_image([value * scale for value in (0, 20, 40, 100)], bits))
    assert picture.pixels[0, 3].tolist() == pytest.approx([100, 200, 50])
    assert picture.pixels[0, 0].tolist() == [0, 0, 0]


def test_big_endian_palettes_are_turned_round(numbers_of):
    """A palette in a big endian file shows the same colours."""
    dataset = palette_image([0, 5140, 10280, 25700], 16)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset["PixelData"].VR = "OB"
    for colour in ("Red", "Green", "Blue"):
        element = dataset[f"{colour}PaletteColorLookupTableData"]
        element.value = np.frombuffer(element.value, "<u2").astype(">u2").tobytes()
    assert numbers_of(dataset)[0].pixels[0, 3].tolist() == pytest.approx([100, 200, 50])


@pytest.mark.parametrize("transfer_syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames_come_out_as_they_went_in(numbers_of, transfer_syntax):
    """Lossless compression changes nothing."""
    stored = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    dataset = image(stored)
    dataset.compress(transfer_syntax, generate_instance_uid=False)
    assert numbers_of(dataset)[0].pixels.tolist() == stored.tolist()


@pytest.mark.parametrize(
    ("transfer_syntax", "other"), [(RLELossless, "pylibjpeg"), (JPEGLSLossless, "gdcm"), (JPEG2000Lossless, "gdcm")]
)
def test_another_decoder_sees_the_same(numbers_of, transfer_syntax, other):
    """Decoders the node does not use agree with those it does, as long as a stream is sound."""
    stored = np.random.default_rng(5).integers(0, 4096, (64, 48), np.uint16)
    dataset = image(stored)
    dataset.compress(transfer_syntax, generate_instance_uid=False)
    assert numbers_of(dataset)[0].pixels.tolist() == pixel_array(dataset, decoding_plugin=other).tolist()


def test_overlong_rle_does_not_panic(numbers_of):
    """An RLE stream longer than its header says is cut: the decoder that panics over it is not asked."""
    stored = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    dataset = image(stored)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.Rows = 16
    with pytest.warns(UserWarning, match="non-conformant padding"):
        [picture] = numbers_of(dataset)
    assert picture.pixels.tolist() == stored[:16].tolist()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": None}, r"Rows \(0028,0010\)"),
        ({"Rows": None, "BitsAllocated": None}, r"Rows \(0028,0010\), Bits Allocated"),
        ({"Rows": 0}, "frames of 0 x 2 pixels"),
        ({"NumberOfFrames": -1}, "-1 frames"),
        ({"SamplesPerPixel": 4}, "4 samples per pixel"),
        ({"PhotometricInterpretation": "CMYK"}, "CMYK"),
        ({"Rows": 60000, "Columns": 60000}, f"{LARGEST_INSTANCE} values"),
        ({"NumberOfFrames": 2**30}, "decodes at once"),
        ({"Rows": 20000, "Columns": 20000}, f"{LARGEST_FRAME} values"),
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": b""}, "no pixel data"),
        ({"PixelData": bytes(6)}, "holds 6 bytes of pixel data where its header asks for 8"),
        ({"PixelData": bytes(18)}, "holds 18 bytes of pixel data where its header asks for 8"),
    ],
)
def test_impossible_images_are_refused_with_the_reason(numbers_of, attributes, reason):
    """What the header or the length of the pixel data gives away is said in words, before anything is decoded."""
    with pytest.raises(ReadError, match=reason):
        numbers_of(image(np.zeros((2, 2), dtype=np.uint16), **attributes))


def test_pixel_data_padded_to_a_block_is_read(numbers_of):
    """Some bytes too many do no harm."""
    stored = np.array([[1, 2], [3, 4]], dtype=np.uint16)
    [picture] = numbers_of(image(stored, PixelData=stored.tobytes() + bytes(6)))
    assert picture.pixels.tolist() == stored.tolist()


def test_a_stream_that_is_cut_off_is_refused(tmp_path):
    """Also where its decoder would make a picture of what there is."""
    dataset = image(np.random.default_rng(5).integers(0, 4096, (64, 48), np.uint16))
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    path = tmp_path / "cut.dcm"
    dataset.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:-100])
    instance = read_header(path)
    with pytest.raises(ReadError, match="cut off"):
        tuple(decode(instance, frame_headers(instance.header)))


def test_a_file_is_read_on_where_its_header_ended(tmp_path, monkeypatch):
    """Nothing is parsed twice: the header that was read is the one that counts."""
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    path = tmp_path / "image.dcm"
    image(stored).save_as(path, enforce_file_format=True)
    instance = read_header(path)
    monkeypatch.delattr("dicom_node.decoding.dcmread")
    [picture] = decode(instance, frame_headers(instance.header))
    assert picture.pixels.tolist() == stored.tolist()


@pytest.mark.parametrize("transfer_syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_pixels_are_found_however_the_file_is_encoded(numbers_of, transfer_syntax):
    """Deflated as a whole, or without value representations."""
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    dataset = image(stored)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset["PixelData"].VR = "OW"
    [picture] = numbers_of(dataset)
    assert picture.pixels.tolist() == stored.tolist()


def test_unknown_compression_is_named(numbers_of):
    """A transfer syntax without a decoder is refused by name."""
    dataset = image(np.zeros((2, 2), dtype=np.uint16))
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    with pytest.raises(ReadError, match="MPEG2"):
        numbers_of(dataset)


def picture(*values, window=None):
    """One row of grey values."""
    return Picture(np.array([values], dtype=np.float32), window, is_padded=bool(np.isnan(values).any()))


def assemble(pictures, *, is_inverse):
    """The pictures of one stack put at their places, the last one first."""
    shape = (len(pictures), *pictures[0].pixels.shape)
    assembly = Assembly(np.empty(shape, np.float32), is_inverse=is_inverse)
    for place, each in reversed(list(enumerate(pictures))):
        assembly.put(place, each)
    return assembly.finished()


def test_padding_takes_the_smallest_value_after_reflection():
    """Padding is the darkest of the whole stack, also where large stored values are dark."""
    plain, _ = assemble([picture(NAN, 5, 9), picture(2, 3, NAN)], is_inverse=False)
    assert plain.tolist() == [[[2, 5, 9]], [[2, 3, 2]]]
    reflected, _ = assemble([picture(NAN, 5, 9)], is_inverse=True)
    assert reflected.tolist() == [[[5, 9, 5]]]  # 5 + 9 - value


def test_a_picture_decoded_at_its_place_is_the_same():
    """In a stack in memory nothing is copied; padding, inverse values and the bounds of all are as elsewhere."""
    pictures = [picture(NAN, 5, 9), picture(2, 3, 7)]
    for is_inverse in (False, True):
        assembly = Assembly(np.empty((2, 1, 3), np.float32), is_inverse=is_inverse)
        for place, each in enumerate(pictures):
            room = assembly.room(place)
            room[...] = each.pixels
            assembly.put(place, Picture(room, None, each.is_padded))
        assert assembly.finished()[0].tolist() == assemble(pictures, is_inverse=is_inverse)[0].tolist()


@pytest.mark.parametrize("rescale", [("1e39", "0"), ("1", "-1e39")])
def test_a_rescale_beyond_all_pixels_is_refused(numbers_of, rescale):
    """Zero times infinity would be no number."""
    slope, intercept = rescale
    with pytest.raises(ReadError, match="Rescale"):
        numbers_of(image(np.zeros((2, 2), np.uint16), RescaleSlope=slope, RescaleIntercept=intercept))


def test_monochrome1_reflects_about_the_window():
    """The window of inverse grey draws the same values at its ends, the other way round."""
    window = Window(center=100, width=50)
    pixels, kept = assemble([picture(75, 100, 125, 300, window=window)], is_inverse=True)
    assert pixels.tolist() == [[[125, 100, 75, -100]]]
    assert kept == window


def test_nothing_but_padding_is_black():
    """A frame of padding only becomes zeros."""
    pixels, _ = assemble([picture(NAN, NAN)], is_inverse=True)
    assert pixels.tolist() == [[[0, 0]]]


def test_the_middle_picture_gives_the_window():
    """Of a stack's windows the middle slice's stands for all."""
    windows = [Window(center, 10) for center in (1, 2, 3)]
    assert assemble([picture(0, window=window) for window in windows], is_inverse=False)[1] == windows[1]
