"""The presentation state draws the report's numbers on the right images, and shows these as they asked."""

import io

import numpy as np
import pytest
from PIL.ImageCms import ImageCmsProfile
from pydicom.dataset import Dataset
from pydicom.uid import ColorSoftcopyPresentationStateStorage

from tests.builders.analyses import (
    EQUIPMENT,
    WHEN,
    analysis_of,
    classified,
    detected,
    encode,
    headers_of,
    lesion,
    segmented,
)
from tests.builders.datasets import (
    colour_ultrasound,
    ct_series,
    enhanced_mr,
    mr_series,
    radiograph,
    secondary_capture,
)
from tests.builders.polygons import fill

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(2, 8, 6), size=(3, 6, 7))
SECOND = lesion(SHAPE, start=(1, 20, 15), size=(2, 4, 4))


def state_of(images, *runs):
    """The presentation state of one volume."""
    results = encode(analysis_of(images, *runs), headers_of(*images), EQUIPMENT, WHEN)
    (state,) = (each for each in results if each.Modality == "PR")
    return state


def points_of(graphic):
    """Points (column, row) of a graphic object."""
    return np.reshape(graphic.GraphicData, (-1, 2))


def test_outlines_of_every_slice_fill_the_masks():
    """On each annotated image the polylines of a lesion fill its mask."""
    images = mr_series(SHAPE)
    state = state_of(images, segmented(FIRST))
    drawn = np.zeros(SHAPE, dtype=bool)
    uids = [image.SOPInstanceUID for image in images]
    for annotation in state.GraphicAnnotationSequence:
        index = uids.index(annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID)
        drawn[index] = fill([points_of(each) for each in annotation.GraphicObjectSequence], SHAPE[1:])
    np.testing.assert_array_equal(drawn, FIRST)


def test_point_counts_and_layers_are_right():
    """Number of Graphic Points tells the data's length, every layer exists; no validator checks either."""
    state = state_of(mr_series(SHAPE), segmented(FIRST, SECOND))
    layers = {item.GraphicLayer for item in state.GraphicLayerSequence}
    for annotation in state.GraphicAnnotationSequence:
        assert annotation.GraphicLayer in layers
        for graphic in annotation.GraphicObjectSequence:
            assert graphic.NumberOfGraphicPoints * 2 == len(graphic.GraphicData)
            assert (graphic.GraphicAnnotationUnits, graphic.GraphicFilled) == ("PIXEL", "N")


def test_exactly_the_annotated_images_are_referenced():
    """The referenced series lists the images that are drawn on, and no others."""
    images = mr_series(SHAPE)
    state = state_of(images, segmented(FIRST))
    (series,) = state.ReferencedSeriesSequence
    listed = [item.ReferencedSOPInstanceUID for item in series.ReferencedImageSequence]
    assert listed == [images[index].SOPInstanceUID for index in (2, 3, 4)]


def test_words_cover_no_lesion():
    """The box of words overlaps no outline of its slice and lies inside the image."""
    state = state_of(mr_series(SHAPE), segmented(FIRST, SECOND))
    for annotation in state.GraphicAnnotationSequence:
        for text in annotation.TextObjectSequence:
            left, top = text.BoundingBoxTopLeftHandCorner
            right, bottom = text.BoundingBoxBottomRightHandCorner
            assert min(left, top) >= 0
            assert right <= SHAPE[2]
            assert bottom <= SHAPE[1]
            for graphic in annotation.GraphicObjectSequence:
                low, high = points_of(graphic).min(axis=0), points_of(graphic).max(axis=0)
                assert right <= low[0] or left >= high[0] or bottom <= low[1] or top >= high[1]


def test_words_where_a_lesion_fills_the_image():
    """No place is free, and words never cover a lesion: the outline stands alone."""
    state = state_of(mr_series((1, 32, 24)), segmented(np.ones((1, 32, 24), dtype=bool)))
    assert "TextObjectSequence" not in state.GraphicAnnotationSequence[0]


def test_words_never_cover_a_box_however_many_there_are():
    """Those that find no place are left out."""
    boxes = [(3 * column, 3 * row, 3 * column + 2, 3 * row + 2) for row in range(12) for column in range(9)]
    state = state_of([radiograph()], detected(*boxes))
    (annotation,) = state.GraphicAnnotationSequence
    drawn = np.zeros((40, 30), bool)
    for left, top, right, bottom in boxes:
        drawn[top:bottom, left:right] = True
    for text in annotation.get("TextObjectSequence", []):
        (left, top), (right, bottom) = text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner
        assert not drawn[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))].any()


def test_a_width_that_is_none_is_not_carried():
    """Window Width of 0 shows nothing (C.11.2.1.2.1)."""
    state = state_of(mr_series(SHAPE, WindowWidth="0"), segmented(FIRST))
    assert "SoftcopyVOILUTSequence" not in state


def test_pixels_that_are_not_square_stay_so_without_a_spacing():
    """By Pixel Aspect Ratio."""
    image = radiograph(ImagerPixelSpacing=None, PixelAspectRatio=["2", "1"])
    (area,) = state_of([image], detected((1, 1, 9, 9))).DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelAspectRatio) == [2, 1]


def test_numbers_stand_on_the_main_slice_only():
    """Measurements are written where they were taken; other slices have the name."""
    state = state_of(mr_series(SHAPE), segmented(FIRST))
    texts = [item.TextObjectSequence[0].UnformattedTextValue for item in state.GraphicAnnotationSequence]
    assert texts == ["AI tumour 1, 1.0 ml 12 mm x 7 mm", "AI tumour 1", "AI tumour 1"]


def test_a_region_is_a_box():
    """A detected region is drawn as its box."""
    state = state_of([radiograph()], detected((5.0, 6.5, 20.0, 30.0)))
    (graphic,) = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    np.testing.assert_array_equal(points_of(graphic).min(axis=0), (5.0, 6.5))
    np.testing.assert_array_equal(points_of(graphic).max(axis=0), (20.0, 30.0))


def test_frames_of_a_multi_frame_image_are_named():
    """Annotations of an enhanced image name their frame, and its shared window is copied."""
    state = state_of([enhanced_mr(SHAPE)], segmented(FIRST))
    frames = [item.ReferencedImageSequence[0].ReferencedFrameNumber for item in state.GraphicAnnotationSequence]
    assert frames == [3, 4, 5]
    assert (state.SoftcopyVOILUTSequence[0].WindowCenter, state.SoftcopyVOILUTSequence[0].WindowWidth) == (400, 800)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")])
def test_presentation_lut_follows_the_photometric_interpretation(photometric, shape):
    """MONOCHROME1 is shown inverted, as the source is."""
    image = radiograph(PhotometricInterpretation=photometric)
    assert state_of([image], detected((1, 1, 9, 9))).PresentationLUTShape == shape


def test_window_and_rescale_are_copied():
    """VOI window and modality rescale are the source's."""
    state = state_of(ct_series(SHAPE), segmented(FIRST))
    (voi,) = state.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth) == (40, 80)
    assert (state.RescaleIntercept, state.RescaleSlope, state.RescaleType) == (-1024, 1, "HU")
    assert "ReferencedImageSequence" not in voi


def test_different_windows_name_their_images():
    """Where images have different windows, each item says which images it is for."""
    images = mr_series(SHAPE)
    images[3].WindowCenter = "500"
    state = state_of(images, segmented(FIRST))
    centres = {
        voi.WindowCenter: [item.ReferencedSOPInstanceUID for item in voi.ReferencedImageSequence]
        for voi in state.SoftcopyVOILUTSequence
    }
    assert centres == {
        400: [images[2].SOPInstanceUID, images[4].SOPInstanceUID],
        500: [images[3].SOPInstanceUID],
    }


def test_each_rescale_has_a_state_of_its_own():
    """One object has one Modality LUT: images that differ, as those of PET do, have one each, with its window."""
    images = ct_series(SHAPE)
    images[3].RescaleSlope = "2"
    _, _, *states = encode(analysis_of(images, segmented(FIRST)), headers_of(*images))
    assert [(float(state.RescaleSlope), state.InstanceNumber) for state in states] == [(1, 1), (2, 2)]
    assert len({state.SOPInstanceUID for state in states}) == len(states)
    drawn = [
        {
            item.ReferencedSOPInstanceUID
            for part in state.GraphicAnnotationSequence
            for item in part.ReferencedImageSequence
        }
        for state in states
    ]
    assert drawn == [{images[2].SOPInstanceUID, images[4].SOPInstanceUID}, {images[3].SOPInstanceUID}]
    assert all("SoftcopyVOILUTSequence" in state for state in states)


def test_lut_tables_are_copied():
    """An image with tables instead of numbers keeps them."""
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], [0, 1, 2, 3]
    table.ModalityLUTType = "US"
    voi = Dataset()
    voi.LUTDescriptor, voi.LUTData = [4, 0, 16], [3, 2, 1, 0]
    for item in (table, voi):
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "US"
    image = radiograph(
        modality="CR", WindowCenter=None, WindowWidth=None, ModalityLUTSequence=[table], VOILUTSequence=[voi]
    )
    state = state_of([image], detected((1, 1, 9, 9)))
    assert list(state.ModalityLUTSequence[0].LUTData) == [0, 1, 2, 3]
    assert list(state.SoftcopyVOILUTSequence[0].VOILUTSequence[0].LUTData) == [3, 2, 1, 0]


def test_pixels_keep_their_shape():
    """Displayed area carries the pixels' spacing, so that a display does not take them for square."""
    (area,) = state_of(mr_series(SHAPE), segmented(FIRST)).DisplayedAreaSelectionSequence
    assert area.PresentationPixelSpacing == [0.9, 0.8]
    assert "PresentationPixelAspectRatio" not in area


@pytest.mark.parametrize("image", [colour_ultrasound(), secondary_capture()], ids=["ultrasound", "capture"])
def test_colour_images_have_a_state_of_their_own(image):
    """Color Softcopy Presentation State: the same drawing, with a colour space and without a grey pipeline."""
    results = encode(analysis_of([image], detected((1, 1, 9, 9))), headers_of(image), EQUIPMENT, WHEN)
    _, state = results
    assert state.SOPClassUID == ColorSoftcopyPresentationStateStorage
    assert ImageCmsProfile(io.BytesIO(state.ICCProfile)).profile.device_class == "scnr"
    assert not {"SoftcopyVOILUTSequence", "PresentationLUTShape", "RescaleSlope"} & set(state.dir())
    (graphic,) = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert graphic.GraphicData[:2] == [1.0, 1.0]


def test_nothing_found_nothing_drawn():
    """A negative analysis has a report only."""
    images = mr_series(SHAPE)
    results = encode(
        analysis_of(images, classified("modality", "mr"), segmented()), headers_of(*images), EQUIPMENT, WHEN
    )
    assert [each.Modality for each in results] == ["SR"]
