"""Every frame's header is found where its kind of image keeps it."""

import pytest
from pydicom import Dataset

from dicom_node.domain.errors import ReadError
from dicom_node.frames import (
    frame_count,
    frame_headers,
    is_slice_without_place,
    numbers,
    pixel_spacing_mm,
    stack_frames,
)
from tests.builders.datasets import OBLIQUE, colour_ultrasound, enhanced_mr, mr_series, radiograph


def described(header):
    """What stacking is told of the frames of an instance."""
    return stack_frames(header, frame_headers(header))


def item(**attributes):
    """A sequence item."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_functional_groups_speak_before_the_header():
    """An enhanced image has one view per frame: its own position, the shared orientation and spacing."""
    frames = described(enhanced_mr((3, 8, 8), orientation=OBLIQUE, spacing=(3.0, 0.9, 0.8), origin=(1, 2, 3)))
    assert [frame.reference.frame_number for frame in frames] == [1, 2, 3]
    assert frames[0].place.position == (1.0, 2.0, 3.0)
    assert frames[2].place.position != frames[0].place.position
    assert frames[0].place.column_cosines == pytest.approx(OBLIQUE[3:], abs=1e-6)
    assert frames[0].grid.pixel_spacing_mm == (0.9, 0.8)


def test_frames_own_values_win_over_shared_ones():
    """A per-frame functional group overrides the shared group of the same name."""
    header = enhanced_mr((2, 8, 8))
    header.PerFrameFunctionalGroupsSequence[1].FrameVOILUTSequence = [item(WindowCenter="1", WindowWidth="2")]
    assert [frame.get("WindowCenter") for frame in frame_headers(header)] == [400, 1]
    assert frame_headers(header)[0].get("Modality") == "MR"
    assert frame_headers(header)[0].get("PatientComments") is None


def test_too_few_functional_groups_are_refused():
    """An instance that describes fewer frames than it states cannot be read."""
    with pytest.raises(ReadError, match="only 2 of its 5 frames"):
        frame_headers(enhanced_mr((2, 8, 8), NumberOfFrames=5))


def test_single_frames_have_no_frame_number():
    """A single-frame instance is referenced as a whole."""
    [frame] = described(mr_series((1, 8, 8), EchoTime="90.0")[0])
    assert frame.reference.frame_number is None
    assert dict(frame.traits)["EchoTime"] == "90"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"ImageOrientationPatient": None}, "absent"),
        ({"ImagePositionPatient": [1, 2]}, "two numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "parallel axes"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "not of unit length"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_geometry_is_none(attributes, why):
    """A slice whose position or orientation is absent or impossible has no place."""
    header = mr_series((1, 8, 8), **attributes)[0]
    [frame] = described(header)
    assert frame.place is None, why
    assert is_slice_without_place(header, frame)


def test_radiographs_and_ultrasound_stand_alone():
    """Frames that are no slices gather by instance; a radiograph knows its spacing at the detector."""
    for header, spacing in ((radiograph(), (0.15, 0.15)), (colour_ultrasound(), None)):
        [frame] = described(header)
        assert frame.gathering == header.SOPInstanceUID
        assert frame.grid.pixel_spacing_mm == spacing
        assert not is_slice_without_place(header, frame)


def test_spacing_in_the_patient_wins_over_the_detectors():
    """Pixel Spacing counts before Imager Pixel Spacing, unless it is no spacing."""
    for stated, expected in ((["0.1", "0.2"], (0.1, 0.2)), (["0", "0"], (0.15, 0.15))):
        [frame] = frame_headers(radiograph(PixelSpacing=stated))
        assert pixel_spacing_mm(frame) == expected


@pytest.mark.parametrize(("photometric", "kind"), [("MONOCHROME1", "inverse grey"), ("PALETTE COLOR", "colour")])
def test_kind_follows_photometric_interpretation(photometric, kind):
    """Frames of unlike photometric interpretation do not share an array."""
    [frame] = described(radiograph(PhotometricInterpretation=photometric))
    assert frame.grid.kind == kind


@pytest.mark.parametrize(
    ("value", "count", "found"),
    [
        (3, 1, (3.0,)),
        ("2.5", 1, (2.5,)),
        ([1, 2], 2, (1.0, 2.0)),
        ([1, 2], None, (1.0, 2.0)),
        ([1, 2], 3, None),
        (None, 1, None),
        ("", 1, None),
        ("1A", 1, None),
        (float("nan"), 1, None),
        (float("inf"), 1, None),
    ],
)
def test_numbers_are_finite_or_none(value, count, found):
    """An element's value is as many finite numbers as asked for, or nothing."""
    assert numbers(value, count) == found


@pytest.mark.parametrize(("stated", "count"), [(None, 1), (0, 1), (7, 7)])
def test_absent_number_of_frames_is_one(stated, count):
    """Number of Frames is one where it is not stated."""
    assert frame_count(item() if stated is None else item(NumberOfFrames=stated)) == count
