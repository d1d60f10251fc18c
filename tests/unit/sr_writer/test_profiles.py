"""Each profile gets its objects, in its form; what two profiles share is the very same object."""

import io
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from inference.findings import Analysis, HeatMap, StageRun, VolumeAnalysis
from inference.voxels import Mask
from sr_writer import encode as encoding
from sr_writer.colour import COLOURS
from sr_writer.described import describe
from sr_writer.profiles import PROFILES, Profile, ReportWhen, ResultKind, SegmentationForm, SegmentPer
from sr_writer.provenance import Predecessor, provenance_of
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
    volume_of,
)
from tests.builders.datasets import encoded, enhanced_mr, mr_series, radiograph
from tests.builders.validators import errors_of, written

SHAPE = (6, 32, 24)
FIRST = lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7))
SECOND = lesion(SHAPE, start=(3, 20, 10), size=(2, 5, 5))
IMAGES = mr_series(SHAPE)
SEG = frozenset({ResultKind.SEGMENTATION, ResultKind.REPORT})


def results_of(profile, *runs, images=IMAGES):
    """Written and read again."""
    made = encode(analysis_of(images, *runs), headers_of(*images), profile=profile)
    return [pydicom.dcmread(io.BytesIO(encoded(each))) for each in made]


def of_modality(results, modality):
    """Those of one modality."""
    return [each for each in results if each.Modality == modality]


@pytest.mark.parametrize(
    ("name", "modalities"),
    [
        ("standard", ["SEG", "SR", "PR", "OT", "OT"]),
        ("ohif", ["SEG", "SR", "OT", "OT"]),
        ("weasis", ["SEG", "SR", "PR"]),
        ("snapshot-only", ["OT", "OT"]),
        ("everything", ["SEG", "SR", "PR", "OT", "OT", "KO", "DOC"]),
    ],
)
def test_a_profile_gets_its_objects_in_sending_order(name, modalities):
    """The two lesions are largest on two slices, so that there are two snapshots."""
    assert [each.Modality for each in results_of(PROFILES[name], segmented(FIRST, SECOND))] == modalities


def test_nothing_found_leaves_report_and_page():
    """Even of everything: there is nothing to outline, show or select."""
    results = results_of(PROFILES["everything"], classified("modality", "mr"), segmented())
    assert [each.Modality for each in results] == ["SR", "DOC"]


def test_who_wants_findings_only_gets_nothing_else():
    """Not even the report of what was looked for in vain."""
    profile = Profile(SEG, report=ReportWhen.FOUND)
    assert results_of(profile, segmented()) == []
    assert len(results_of(profile, segmented(FIRST))) == 2


def test_profiles_share_what_is_the_same():
    """Presentation state, snapshots and segmentation are one object for both; a report that refers to another
    segmentation is another report."""
    runs = (segmented(FIRST, SECOND),)
    standard, weasis, labelmap = (
        {each.SOPInstanceUID: each.Modality for each in results_of(profile, *runs)}
        for profile in (
            PROFILES["standard"],
            PROFILES["weasis"],
            Profile(PROFILES["weasis"].objects, segmentation=SegmentationForm.LABELMAP),
        )
    )
    assert weasis.items() <= standard.items()
    assert sorted(modality for uid, modality in labelmap.items() if uid not in weasis) == ["SEG", "SR"]


def masks_in(segmentation, images):
    """(image, row, column, segment), by what each frame refers to."""
    seg = hd.seg.Segmentation.from_dataset(segmentation)
    return seg.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )


@pytest.mark.parametrize("form", SegmentationForm)
@pytest.mark.parametrize("omit", [True, False], ids=["frames with voxels", "all frames"])
def test_every_form_holds_the_same_voxels(form, omit):
    """Read back, each segment is its lesion; with empty frames there is one for each image."""
    profile = Profile(SEG, segmentation=form, omit_empty_frames=omit)
    segmentation, _ = results_of(profile, segmented(FIRST, SECOND))
    assert segmentation.SegmentationType == form.upper()
    masks = masks_in(segmentation, IMAGES)
    assert np.array_equal(masks[..., 0] > 0, FIRST)
    assert np.array_equal(masks[..., 1] > 0, SECOND)
    if not omit:
        assert segmentation.NumberOfFrames == len(IMAGES) * (1 if form is SegmentationForm.LABELMAP else 2)
    else:
        assert segmentation.NumberOfFrames <= 4


@pytest.mark.parametrize("form", SegmentationForm)
def test_dcmqi_reads_every_form(form, tmp_path):
    """As 3D Slicer does."""
    profile = Profile(SEG, segmentation=form)
    made = encode(analysis_of(IMAGES, segmented(FIRST, SECOND)), headers_of(*IMAGES), profile=profile)
    segmentation, report = written(made, tmp_path)
    assert errors_of("segimage2itkimage", segmentation) == []
    assert errors_of("tid1500reader", report) == []


def test_a_label_map_numbers_its_segments_from_one():
    """No item for the background, which viewers take for the first lesion; Pixel Padding Value says what it is."""
    segmentation, _ = results_of(Profile(SEG, segmentation=SegmentationForm.LABELMAP), segmented(FIRST, SECOND))
    assert segmentation.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage
    assert [item.SegmentNumber for item in segmentation.SegmentSequence] == [1, 2]
    assert segmentation.PixelPaddingValue == 0


def test_fractions_are_the_scores():
    """Inside the lesion, in 255ths; outside nothing, whatever the score."""
    scores = np.full(SHAPE, 30, np.uint8)
    scores[FIRST] = 200
    run = segmented(FIRST)
    (plain,) = run.segments
    scored = replace(plain, mask=Mask.of(FIRST, scores))
    fractional = StageRun(run.stage, run.task, run.outcome, algorithm=run.algorithm, segments=(scored,))
    segmentation, _ = results_of(Profile(SEG, segmentation=SegmentationForm.FRACTIONAL), fractional)
    assert segmentation.SegmentationFractionalType == "PROBABILITY"
    values = hd.seg.Segmentation.from_dataset(segmentation).get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in IMAGES],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
        rescale_fractional=True,
    )[..., 0]
    assert np.allclose(values, np.where(FIRST, 200 / 255, 0), atol=1 / 255)


def test_one_segment_may_hold_all_lesions_of_a_kind():
    """The report has each lesion and the whole; what the segment is called is in both, and every group has
    coordinates."""
    profile = Profile(SEG, segment_per=SegmentPer.CLASS)
    segmentation, report = results_of(profile, segmented(FIRST, SECOND))
    (item,) = segmentation.SegmentSequence
    assert np.array_equal(masks_in(segmentation, IMAGES)[..., 0] > 0, FIRST | SECOND)
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    planar = content.get_planar_roi_measurement_groups()
    (whole,) = content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_uid for group in planar].count(item.TrackingUID) == 1
    assert (len(planar), whole.tracking_uid) == (3, item.TrackingUID)
    (volume,) = whole.get_measurements()
    assert volume.value == 3.0  # 1 ml and 2 ml


def test_lesions_that_overlap_are_no_label_map():
    """It has one segment for each voxel: nothing may be lost, so that the segmentation is binary."""
    segmentation, _ = results_of(Profile(SEG, segmentation=SegmentationForm.LABELMAP), segmented(FIRST, FIRST))
    assert segmentation.SegmentationType == "BINARY"
    assert np.array_equal(masks_in(segmentation, IMAGES)[..., 1] > 0, FIRST)


def test_a_finding_has_one_colour():
    """In segmentation and snapshots, whatever else was found before it."""
    made = results_of(PROFILES["ohif"], detected((2, 2, 6, 6)), segmented(FIRST))
    segmentation, _, *pictures = made
    lab = segmentation.SegmentSequence[0].RecommendedDisplayCIELabValue
    assert list(lab) == list(hd.color.CIELabColor.from_rgb(*COLOURS[0]).value)
    shown = next(each for each in pictures if each.SourceImageSequence[0].ReferencedSOPInstanceUID
                 == IMAGES[1].SOPInstanceUID)  # fmt: skip
    assert (shown.pixel_array == COLOURS[0]).all(axis=2).any()


def test_images_are_named_as_viewers_number_them():
    """By Instance Number, which runs the other way here."""
    images = mr_series(SHAPE, descending=True)[::-1]  # as a reader stacks them
    run = segmented(FIRST)
    _, report = results_of(Profile(SEG), run, images=images)
    (described,) = describe(
        analysis_of(images, run), provenance_of(analysis_of(images, run), headers_of(*images), EQUIPMENT, WHEN),
        SegmentPer.LESION,
    )  # fmt: skip
    first, last = (images[index].InstanceNumber for index in (1, 2))
    assert described.findings[0].seen_on == f"images {first} to {last}"
    assert report.Modality == "SR"


def test_whether_names_are_burned_in_is_told_only_where_it_is_known():
    """An image that states nothing may have them."""
    stated = mr_series(SHAPE, BurnedInAnnotation="NO")
    for images, told in ((IMAGES, None), (stated, "NO")):
        (picture,) = results_of(PROFILES["snapshot-only"], segmented(FIRST), images=images)
        assert picture.get("BurnedInAnnotation") == told


def test_a_peer_that_wants_findings_only_learns_that_there_are_none_any_more():
    """Where an earlier report may have told it of some."""
    profile = Profile(SEG, report=ReportWhen.FOUND)
    before = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2", ("tumour 1 is not found any more.",))
    analysis, sources = analysis_of(IMAGES, segmented()), headers_of(*IMAGES)
    (report,) = encoding.encode(analysis, sources, EQUIPMENT, WHEN, profile, [before])
    assert report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.2"


def test_a_single_lesion_is_its_kind():
    """Then a segment for the kind is the lesion's own."""
    lesions = results_of(Profile(SEG), segmented(FIRST))
    kinds = results_of(Profile(SEG, segment_per=SegmentPer.CLASS), segmented(FIRST))
    assert kinds[0].SegmentSequence[0].TrackingUID == lesions[0].SegmentSequence[0].TrackingUID


def test_a_snapshot_shows_the_key_slice_with_its_outline():
    """RGB in 8 bits, made from the slice on which the lesion is largest, with coloured pixels on a grey slice."""
    first, second = of_modality(results_of(PROFILES["snapshot-only"], segmented(FIRST, SECOND)), "OT")
    assert first.SOPClassUID == SecondaryCaptureImageStorage
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SeriesInstanceUID not in {image.SeriesInstanceUID for image in IMAGES}
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == IMAGES[1].SOPInstanceUID
    assert (first.PhotometricInterpretation, first.BitsStored, first.get("BurnedInAnnotation")) == ("RGB", 8, None)
    pixels = first.pixel_array.astype(int)
    coloured = (pixels.max(axis=2) - pixels.min(axis=2)) > 60
    assert coloured.any()
    rows, columns = np.nonzero(coloured[: -4 * 24])  # without the legend
    height, width = 768 * 32 * 0.9 / (32 * 0.9), 768 * 24 * 0.8 / (32 * 0.9)
    top, left = rows.min() - 34, columns.min() - (pixels.shape[1] - width) / 2
    assert top / height == pytest.approx(8 / 32, abs=0.01)
    assert left / width == pytest.approx(6 / 24, abs=0.01)


def test_more_slices_than_a_snapshot_series_shows_are_named():
    """Twelve, and a word about the rest."""
    images = mr_series((40, 32, 24))
    lesions = [lesion((40, 32, 24), start=(2 * n, 8, 6), size=(1, 6, 7)) for n in range(15)]
    assert len(of_modality(results_of(PROFILES["snapshot-only"], segmented(*lesions), images=images), "OT")) == 12


def test_key_images_are_those_of_the_findings():
    """Each once, of a multi-frame image the frame."""
    image = enhanced_mr(SHAPE)
    for images, frame in ((IMAGES, None), ([image], 2)):
        (selection,) = of_modality(results_of(PROFILES["everything"], segmented(FIRST), images=images), "KO")
        assert selection.SOPClassUID == KeyObjectSelectionDocumentStorage
        (reference,) = (
            item.ReferencedSOPSequence[0] for item in selection.ContentSequence if item.ValueType == "IMAGE"
        )
        assert reference.ReferencedSOPInstanceUID == images[1 if frame is None else 0].SOPInstanceUID
        assert reference.get("ReferencedFrameNumber") == frame


def test_the_page_is_a_pdf_and_the_same_every_time():
    """It ends where its length says, and names its sources."""
    first, again = (results_of(PROFILES["everything"], detected((2, 3, 9, 9)), images=[radiograph()]) for _ in "ab")
    (page,) = of_modality(first, "DOC")
    assert page.SOPClassUID == EncapsulatedPDFStorage
    assert page.EncapsulatedDocument[: page.EncapsulatedDocumentLength].rstrip().endswith(b"%%EOF")
    assert page.EncapsulatedDocument == of_modality(again, "DOC")[0].EncapsulatedDocument


def test_a_heat_map_is_a_picture_beside_its_slice():
    """Only where it was made, and where it has values."""
    values = np.zeros(SHAPE[1:], np.float32)
    values[10:20, 5:15] = 1
    heat_maps = (
        HeatMap("modality", "mr", 2, "Grad-CAM", values),
        HeatMap("mri region", "brain", 2, "Grad-CAM", None, "no gradients"),
    )
    volume = VolumeAnalysis(volume_of(IMAGES), (classified("modality", "mr"),), heat_maps=heat_maps)
    analysis = Analysis(IMAGES[0].StudyInstanceUID, (volume,))
    made = encode(analysis, headers_of(*IMAGES), profile=Profile(frozenset({ResultKind.HEAT_MAP})))
    (picture,) = made
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == IMAGES[2].SOPInstanceUID
    assert picture.Columns > picture.Rows
    left, right = np.split(picture.pixel_array[34:-58].astype(int), 2, axis=1)
    assert np.ptp(left, axis=2).max() == 0
    assert np.ptp(right, axis=2).max() > 60
