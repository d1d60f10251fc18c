"""From files to results and back: a lesion comes out in the very pixels that it went in, whatever the images' geometry.

The images are written, read by the node's reader, outlined where they are bright, encoded, and the results are read by
highdicom and by a polygon filler of the tests'. Nothing in between may shift, flip or turn a pixel.
"""

import io
import itertools
import tempfile
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from dicom_node.reader import LoadSettings, load_study
from inference.findings import Analysis, Measurement, Outcome, Quantity, Segment, StageRun, Task, VolumeAnalysis
from inference.transforms import place
from inference.voxels import Mask
from sr_writer.profiles import Profile, ResultKind, SegmentationForm
from tests.builders.analyses import UNET, encode
from tests.builders.datasets import encoded, enhanced_mr, mr_series, radiograph
from tests.builders.network import saved
from tests.builders.polygons import fill

KINDS = frozenset({ResultKind.SEGMENTATION, ResultKind.REPORT, ResultKind.PRESENTATION})
BRIGHT, DARK = 900, 100

sizes = st.tuples(st.integers(2, 5), st.integers(3, 12), st.integers(3, 12))
spacings = st.tuples(
    *(st.floats(low, high).map(lambda mm: round(mm, 3)) for low, high in ((0.7, 8), (0.2, 3), (0.2, 3)))
)


@st.composite
def orientations(draw):
    """Row and column directions of any stack, slightly or wholly oblique ones too."""
    turned = Rotation.from_euler("zyx", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    return (*turned[:, 0], *turned[:, 1])


@st.composite
def marked(draw):
    """A mask with at least one voxel."""
    shape = draw(sizes)
    mask = draw(arrays(np.bool_, shape))
    mask[draw(st.tuples(*(st.integers(0, side - 1) for side in shape)))] = True
    return mask


def answered(datasets, form=SegmentationForm.BINARY):
    """The results of images that are outlined wherever they are bright, by modality."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [saved(dataset, Path(folder)) for dataset in datasets]
        loaded = load_study(datasets[0].StudyInstanceUID, paths, LoadSettings())
    (volume,) = loaded.volumes
    low, high = volume.pixels.min(), volume.pixels.max()
    mask = volume.pixels >= (low + high) / 2  # all of it where all of it is bright
    largest = int(mask.sum((1, 2)).argmax())
    segment = Segment("tumour", 1, Mask.of(mask), 0.9, (Measurement(Quantity.LONG_AXIS_MM, 1.0, largest),))
    run = StageRun("brain tumour", Task.SEGMENTATION, Outcome.COMPLETE, algorithm=UNET, segments=(segment,))
    analysis = Analysis(volume.study_instance_uid, (VolumeAnalysis(volume, (run,)),))
    made = encode(analysis, loaded.headers, profile=Profile(KINDS, segmentation=form))
    return {each.Modality: pydicom.dcmread(io.BytesIO(encoded(each))) for each in made}


def segmented_in(segmentation, images):
    """The mask (image, row, column) by what its frames refer to; each frame lies where its image does."""
    seg = hd.seg.Segmentation.from_dataset(segmentation)
    multi_frame = "NumberOfFrames" in images[0]
    frames = (
        seg.get_pixels_by_source_frame(
            images[0].SOPInstanceUID,
            range(1, images[0].NumberOfFrames + 1),
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
        if multi_frame
        else seg.get_pixels_by_source_instance(
            [image.SOPInstanceUID for image in images],
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
    )
    if not multi_frame:
        places = {image.SOPInstanceUID: image for image in images}
        for frame in segmentation.PerFrameFunctionalGroupsSequence:
            source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            assert np.allclose(position, places[source].ImagePositionPatient, atol=1e-4)
    return frames[..., 0] > 0


def drawn_in(state, images):
    """The mask (image, row, column) that the state's polylines enclose."""
    multi_frame = "NumberOfFrames" in images[0]
    count = images[0].NumberOfFrames if multi_frame else len(images)
    numbers = {image.SOPInstanceUID: number for number, image in enumerate(images)}
    polygons = [[] for _ in range(count)]
    for annotation in state.GraphicAnnotationSequence:
        (reference,) = annotation.ReferencedImageSequence
        number = reference.ReferencedFrameNumber - 1 if multi_frame else numbers[reference.ReferencedSOPInstanceUID]
        polygons[number] += [
            np.reshape(graphic.GraphicData, (-1, 2)).astype(float) for graphic in annotation.GraphicObjectSequence
        ]
    return np.stack([fill(each, (images[0].Rows, images[0].Columns)) for each in polygons])


def reported_in(report):
    """(SOP Instance UID, frame number or None, points) of the report's one outline."""
    groups = hd.sr.Comprehensive3DSR.from_dataset(report).content.get_planar_roi_measurement_groups()
    (group,) = groups
    (reference,) = group.roi.ContentSequence[0].ReferencedSOPSequence
    return reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber"), group.roi.value


def reported_volume_in(report):
    """(SOP Instance UID, frame number, points) of the first outline of a lesion without a segment."""
    groups = hd.sr.Comprehensive3DSR.from_dataset(report).content.get_volumetric_roi_measurement_groups()
    region = groups[0].roi[0]
    (reference,) = region.ContentSequence[0].ReferencedSOPSequence
    return reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber"), region.value


def check(images, mask, results):
    """Segmentation and presentation state hold the mask, the report an outline that the state draws, too."""
    assert np.array_equal(segmented_in(results["SEG"], images), mask)
    assert np.array_equal(drawn_in(results["PR"], images), mask)
    uid, frame, points = reported_in(results["SR"])
    number = frame - 1 if frame else [image.SOPInstanceUID for image in images].index(uid)
    part = fill([points], mask.shape[1:])
    assert part.any()
    state = [
        graphic.GraphicData
        for annotation in results["PR"].GraphicAnnotationSequence
        for graphic in annotation.GraphicObjectSequence
        if (annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID,
            annotation.ReferencedImageSequence[0].get("ReferencedFrameNumber")) == (uid, frame)
    ]  # fmt: skip
    assert [float(value) for value in points.ravel()] in [[float(value) for value in data] for data in state]
    assert mask[number].any()


@settings(max_examples=20, deadline=None)
@given(marked(), spacings, orientations(), st.booleans(), st.sampled_from([*SegmentationForm]))
def test_a_stack_of_any_geometry(mask, spacing, orientation, descending, form):
    """Size, spacing, orientation, order of the slices, form of the segmentation."""
    pixels = np.where(mask, BRIGHT, DARK)
    images = mr_series(
        mask.shape, pixels=pixels, spacing=spacing, orientation=orientation, descending=descending, study=repr(spacing)
    )
    order = slice(None, None, -1) if descending else slice(None)
    check(images, mask[order], answered(images, form))


@settings(max_examples=8, deadline=None)
@given(marked(), spacings, orientations())
def test_a_multi_frame_image_of_any_geometry(mask, spacing, orientation):
    """Frames instead of instances."""
    image = enhanced_mr(mask.shape, pixels=np.where(mask, BRIGHT, DARK), spacing=spacing, orientation=orientation)
    check([image], mask, answered([image]))


def test_two_multi_frame_images_in_one_stack_have_no_segmentation():
    """Its frames can be those of one image only; the report has every outline instead, on the right frames."""
    mask = np.zeros((3, 16, 12), np.bool_)
    first = enhanced_mr(mask.shape, pixels=np.where(mask, BRIGHT, DARK), origin=(-10, -20, -30), series="s")
    mask[1, 4:9, 3:7] = True
    second = enhanced_mr(mask.shape, pixels=np.where(mask, BRIGHT, DARK), origin=(-10, -20, -21), series="s")
    second.SOPInstanceUID = f"{first.SOPInstanceUID[:-1]}9"
    second.file_meta.MediaStorageSOPInstanceUID = second.SOPInstanceUID
    results = answered([first, second])
    assert "SEG" not in results
    uid, frame, _ = reported_volume_in(results["SR"])
    assert (uid, frame) == (second.SOPInstanceUID, 2)


@settings(max_examples=8, deadline=None)
@given(marked(), st.lists(st.integers(1, 9), min_size=5, max_size=5))
def test_an_unevenly_spaced_stack(mask, gaps):
    """Each frame lies where its image lies."""
    images = mr_series(mask.shape, pixels=np.where(mask, BRIGHT, DARK))
    for image, height in zip(images, itertools.accumulate(gaps), strict=False):
        image.ImagePositionPatient = [-10, -20, height]
    check(images, mask, answered(images))


@settings(max_examples=8, deadline=None)
@given(marked(), st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
def test_a_radiograph_of_either_polarity(mask, polarity):
    """What is dark by its numbers is bright to a reader of MONOCHROME1; it has no geometry, and so no segmentation."""
    mask = mask[:1]
    mask[0, 0, 0], mask[0, -1, -1] = True, False
    bright = (DARK, BRIGHT) if polarity == "MONOCHROME1" else (BRIGHT, DARK)
    image = radiograph(mask.shape[1:], pixels=np.where(mask[0], *bright), PhotometricInterpretation=polarity)
    results = answered([image])
    assert "SEG" not in results
    assert np.array_equal(drawn_in(results["PR"], [image]), mask)


CORNERS = list(itertools.product((0, 2), (0, 6), (0, 4)))


@pytest.mark.parametrize("corner", CORNERS, ids=str)
@pytest.mark.parametrize("descending", [False, True])
def test_one_voxel_at_each_corner(corner, descending):
    """In all three objects it is that one pixel, from its outer corner on."""
    mask = np.zeros((3, 7, 5), np.bool_)
    mask[corner] = True
    images = mr_series(mask.shape, pixels=np.where(mask, BRIGHT, DARK), descending=descending)
    results = answered(images)
    shown = mask[::-1] if descending else mask
    check(images, shown, results)
    _, row, column = corner
    _, _, points = reported_in(results["SR"])
    assert (points.min(0).tolist(), points.max(0).tolist()) == ([column, row], [column + 1, row + 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 60), st.integers(3, 60), st.data())
def test_a_pixel_stays_in_place_through_the_networks_square(rows, columns, data):
    """Enlarged, letterboxed and brought back, the brightest pixel is the one that was bright."""
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    picture = np.zeros((1, rows, columns), np.float32)
    picture[0, row, column] = 1
    square, placement = place(picture, 64)
    back = placement.restore(square[:, 0])[0].numpy()
    assert np.unravel_index(back.argmax(), back.shape) == (row, column)
