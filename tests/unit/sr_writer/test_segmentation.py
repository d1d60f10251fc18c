"""The Segmentation object holds exactly the masks, on exactly the grid of its sources."""

import io

import highdicom as hd
import numpy as np
import pytest

from inference.findings import Analysis, VolumeAnalysis
from sr_writer import codes
from tests.builders.analyses import (
    EQUIPMENT,
    UNET,
    WHEN,
    analysis_of,
    encode,
    headers_of,
    lesion,
    segmented,
    volume_of,
)
from tests.builders.datasets import (
    AXIAL,
    CORONAL,
    OBLIQUE,
    SAGITTAL,
    colour_ultrasound,
    encoded,
    enhanced_mr,
    mr_series,
    radiograph,
)

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(2, 8, 6), size=(3, 6, 7))
SECOND = lesion(SHAPE, start=(1, 20, 15), size=(2, 4, 4))
OVERLAPPING = lesion(SHAPE, start=(2, 10, 8), size=(2, 8, 8))


def segmentations(analysis, images):
    """The SEG objects of an analysis, written and read again."""
    results = encode(analysis, headers_of(*images), EQUIPMENT, WHEN)
    return [hd.seg.segread(io.BytesIO(encoded(each))) for each in results if each.Modality == "SEG"]


def mask_of(seg, images, number):
    """The mask of one segment in the order of the source images."""
    uids = [image.SOPInstanceUID for image in images]
    pixels = seg.get_pixels_by_source_instance(uids, segment_numbers=[number], ignore_spatial_locations=True)
    return pixels[..., 0].astype(bool)


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids=["axial", "coronal", "sagittal", "oblique"]
)
@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("masks", [(FIRST,), (FIRST, SECOND), (FIRST, OVERLAPPING)], ids=["one", "two", "overlapping"])
def test_masks_come_back(orientation, descending, masks):
    """Every mask is read back equal, in every orientation and order of slices, overlapping or not."""
    images = mr_series(SHAPE, orientation=orientation, descending=descending)
    (seg,) = segmentations(analysis_of(images, segmented(*masks)), images)
    for number, mask in enumerate(masks, start=1):
        np.testing.assert_array_equal(mask_of(seg, images, number), mask)


def test_geometry_is_the_sources():
    """Frame of reference, orientation, spacing and positions are those of the source images."""
    images = mr_series(SHAPE, orientation=OBLIQUE)
    (seg,) = segmentations(analysis_of(images, segmented(FIRST)), images)
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == images[0].ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == images[0].PixelSpacing
    positions = [item.PlanePositionSequence[0].ImagePositionPatient for item in seg.PerFrameFunctionalGroupsSequence]
    expected = [images[index].ImagePositionPatient for index in (2, 3, 4)]
    assert sorted(map(tuple, positions)) == sorted(map(tuple, expected))


def test_only_slices_with_a_lesion_have_frames():
    """Empty frames are left out, and each frame names the one source image that it lies on."""
    images = mr_series(SHAPE)
    (seg,) = segmentations(analysis_of(images, segmented(FIRST, SECOND)), images)
    frames = [
        (
            item.SegmentIdentificationSequence[0].ReferencedSegmentNumber,
            item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID,
        )
        for item in seg.PerFrameFunctionalGroupsSequence
    ]
    drawn = ((1, 2), (1, 3), (1, 4), (2, 1), (2, 2))
    assert sorted(frames) == sorted((number, images[index].SOPInstanceUID) for number, index in drawn)


def test_frames_of_a_multi_frame_source():
    """Masks on an enhanced image refer to its frames and come back equal."""
    image = enhanced_mr(SHAPE)
    (seg,) = segmentations(analysis_of([image], segmented(FIRST, SECOND)), [image])
    pixels = seg.get_pixels_by_source_frame(
        image.SOPInstanceUID, list(range(1, 7)), segment_numbers=[1, 2], assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), FIRST)
    np.testing.assert_array_equal(pixels[..., 1].astype(bool), SECOND)


def test_a_stack_of_some_frames_in_another_order():
    """A volume of some frames of a multi-frame image, in its own order, refers to the right ones."""
    image = enhanced_mr(SHAPE)
    whole = volume_of([image])
    chosen = [4, 3, 2]
    volume = type(whole)(
        whole.study_instance_uid,
        whole.series_instance_uid,
        whole.pixels[chosen],
        tuple(whole.frames[index] for index in chosen),
        affine=whole.affine,
        pixel_spacing_mm=whole.pixel_spacing_mm,
    )
    analysis = Analysis(whole.study_instance_uid, (VolumeAnalysis(volume, (segmented(FIRST[chosen]),)),))
    (seg,) = segmentations(analysis, [image])
    pixels = seg.get_pixels_by_source_frame(
        image.SOPInstanceUID, list(range(1, 7)), segment_numbers=[1], assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), FIRST)


def test_segments_say_what_they_are():
    """Segments are numbered in order and carry category, type, place, algorithm, tracking pair and colour."""
    images = mr_series(SHAPE)
    (seg,) = segmentations(analysis_of(images, segmented(FIRST, SECOND)), images)
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2]
    for item in seg.SegmentSequence:
        algorithm = item.SegmentationAlgorithmIdentificationSequence[0]
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert item.SegmentedPropertyTypeCodeSequence[0].CodeValue == codes.NEOPLASM.value
        assert item.AnatomicRegionSequence[0].CodeValue == codes.BRAIN.value
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (UNET.name, UNET.version)
        assert algorithm.AlgorithmSource == UNET.manufacturer
        assert item.TrackingUID
        assert item.TrackingID
    colours = {tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence}
    assert len(colours) == 2


@pytest.mark.parametrize(
    "images",
    [
        mr_series(SHAPE, ImagePositionPatient=None, ImageOrientationPatient=None),
        mr_series(SHAPE, PixelSpacing=None),
    ],
    ids=["no plane", "no spacing"],
)
def test_no_geometry_no_segmentation(images):
    """Without geometry there is no SEG, and the report carries every outline instead."""
    analysis = analysis_of(images, segmented(FIRST))
    results = encode(analysis, headers_of(*images), EQUIPMENT, WHEN)
    assert [each.Modality for each in results] == ["SR", "PR"]


@pytest.mark.parametrize("image", [radiograph((32, 24)), colour_ultrasound((32, 24))], ids=["radiograph", "ultrasound"])
def test_single_images_without_a_place_have_no_segmentation(image):
    """A projection or an ultrasound image has no place in the patient to repeat."""
    analysis = analysis_of([image], segmented(FIRST[2:3]))
    assert segmentations(analysis, [image]) == []
