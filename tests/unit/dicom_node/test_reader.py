"""Files of a study become volumes, and what does not says why; no file makes the reader raise."""

import contextlib
import itertools
import logging
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import BasicTextSRStorage, UltrasoundMultiFrameImageStorage

from dicom_node.reader import LoadSettings, load_study
from dicom_node.scratch import FilePixels
from dicom_node.selection import NO_MAJORITY, OTHER_PATIENT
from dicom_node.usable_headers import is_read
from inference.volume import Stated
from tests.builders.datasets import (
    OBLIQUE,
    colour_ultrasound,
    ct_series,
    encoded,
    enhanced_mr,
    mr_series,
    radiograph,
    secondary_capture,
    uid,
)

STUDY = uid("study")
SHARED = Path(os.environ.get("DICOM_NODE_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "dicom"
needs_corpus = pytest.mark.skipif(
    not (SHARED / "good").is_dir(),
    reason=f"no DICOM files at {SHARED}; set DICOM_NODE_SHARED to the folder above data/",
)


def numbered(shape):
    """Pixels that differ everywhere."""
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


SLICES = numbered((4, 8, 6))


@pytest.fixture
def load(tmp_path):
    """Loads a study from data sets, and bytes, by way of files in reverse order."""
    folder = itertools.count()

    def through_files(datasets, settings=None, study=STUDY):
        paths = []
        place = tmp_path / str(next(folder))
        place.mkdir()
        for number, dataset in enumerate(datasets):
            path = place / f"file{number:03}.dcm"
            path.write_bytes(dataset if isinstance(dataset, bytes) else encoded(dataset))
            paths.insert(0, path)
        return load_study(study, paths, settings or LoadSettings())

    return through_files


def reasons(study):
    """Why what was left out was left out."""
    return [exclusion.reason for exclusion in study.exclusions]


def test_a_stack_becomes_one_volume(load):
    """An oblique MR series numbered from its far end becomes one volume with its geometry, pixels and window."""
    series = mr_series(SLICES.shape, pixels=SLICES, orientation=OBLIQUE, origin=(1, 2, 3), descending=True)
    study = load(series)
    [volume] = study.volumes
    assert volume.pixels.tolist() == SLICES.tolist()
    assert volume.affine @ [0, 0, 0, 1] == pytest.approx([1, 2, 3, 1])
    assert volume.slice_spacing_mm == pytest.approx(3.0, abs=1e-3)
    assert (volume.pixel_spacing_mm, volume.even_spacing) == ((0.9, 0.8), True)
    assert (volume.window.lower, volume.window.upper) == (0, 799)
    assert [frame.sop_instance_uid for frame in volume.frames] == [each.SOPInstanceUID for each in reversed(series)]
    assert (volume.study_instance_uid, volume.series_instance_uid) == (STUDY, uid("study", "mr"))
    assert study.exclusions == ()


def test_headers_come_without_pixels_and_with_file_meta(load):
    """Every image's header is handed on, also that of an image left out; reports have none."""
    localizer = mr_series((1, 8, 6), pixels=SLICES[:1], series="loc", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    report = radiograph(series="sr", SOPClassUID=BasicTextSRStorage)
    study = load([*mr_series((1, 8, 6), pixels=SLICES[:1]), *localizer, report])
    assert set(study.headers) == {uid("study", "mr", 0), uid("study", "loc", 0)}
    for header in study.headers.values():
        assert "PixelData" not in header
        assert header.file_meta.TransferSyntaxUID
    assert len(study.volumes) == 1
    assert sorted(reasons(study)) == [
        "is a localizer, made to plan other images",
        "is not an image (Basic Text SR Storage)",
    ]


def test_several_threads_and_a_file_make_no_difference(load, tmp_path):
    """Slices, several stacks, inverse and padded ones, frames and colours: the same volumes and reasons."""
    stored = numbered((3, 16, 12))
    frames = np.random.default_rng(4).integers(0, 256, (5, 16, 12, 3), np.uint8)
    datasets = [
        *mr_series(stored.shape, pixels=stored, PixelPaddingValue=5, descending=True),
        *mr_series((2, 8, 6), pixels=numbered((2, 8, 6)), series="inverse", PhotometricInterpretation="MONOCHROME1"),
        *mr_series((2, 8, 6), pixels=numbered((2, 8, 6)), series="broken", Rows=9),
        enhanced_mr((4, 8, 6), pixels=SLICES),
        colour_ultrasound((16, 12), pixels=frames[0], NumberOfFrames=5, PixelData=frames.tobytes()),
    ]
    one = load(datasets)
    other = load(datasets, LoadSettings(threads=4, scratch=tmp_path / "scratch", in_memory=0))
    assert len(one.volumes) == 4
    assert one.exclusions == other.exclusions
    for volume, same in zip(one.volumes, other.volumes, strict=True):
        assert (volume.frames, volume.window, volume.shape) == (same.frames, same.window, same.shape)
        assert isinstance(volume.pixels, np.ndarray)
        assert isinstance(same.pixels, FilePixels)
        assert np.array_equal(volume.pixels, same.pixels)
    assert any(np.array_equal(volume.pixels, frames) for volume in other.volumes)


def test_the_others_are_stacked_without_one_that_breaks(load):
    """Where two images share each place, the one that cannot be decoded leaves one stack with a gap in its pair."""
    echoes = [mr_series((4, 8, 6), pixels=SLICES, series="two", EchoTime=str(time)) for time in (10, 90)]
    for number, dataset in enumerate(echoes[1]):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("second", number)
    echoes[1][2].PixelData = bytes(2)
    study = load([*echoes[0], *echoes[1]])
    assert sorted(volume.pixels.tolist() for volume in study.volumes) == sorted(
        [SLICES.tolist(), SLICES[[0, 1, 3]].tolist()]
    )
    assert len(study.exclusions) == 1


def test_the_order_of_files_does_not_matter(tmp_path):
    """Volumes and exclusions come in the same order whichever file is read first."""
    datasets = [*mr_series(SLICES.shape, pixels=SLICES), *ct_series(SLICES.shape, pixels=SLICES), radiograph()]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(encoded(dataset))
    one = load_study(STUDY, paths, LoadSettings())
    random.Random(2).shuffle(paths)
    other = load_study(STUDY, paths, LoadSettings())
    assert [volume.frames for volume in one.volumes] == [volume.frames for volume in other.volumes]
    assert one.exclusions == other.exclusions


def test_ct_comes_in_hounsfield_units(load):
    """CT pixels are rescaled to HU."""
    [volume] = load(ct_series(SLICES.shape, pixels=SLICES)).volumes
    assert volume.pixels.tolist() == (SLICES.astype(int) - 1024).tolist()


def test_echoes_of_one_series_are_volumes_of_their_own(load):
    """Two echoes in one series come as two numbered, labelled stacks."""
    late = mr_series(SLICES.shape, pixels=SLICES + 1000, EchoTime="90")
    for dataset in late:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID[:-2]}.1"
        dataset.InstanceNumber += 4
    volumes = load([*mr_series(SLICES.shape, pixels=SLICES), *late]).volumes
    assert [(volume.stack_number, volume.stack_label) for volume in volumes] == [(1, "EchoTime 10"), (2, "EchoTime 90")]
    assert volumes[1].pixels.tolist() == (SLICES + 1000).tolist()


def test_enhanced_frames_are_placed_rescaled_and_numbered(load):
    """Frames of an enhanced image are sorted by their own positions and keep their own frame numbers and rescale."""
    image = enhanced_mr(SLICES.shape, pixels=SLICES, spacing=(-2.0, 0.9, 0.8))
    for frame, slope in zip(image.PerFrameFunctionalGroupsSequence, (1, 2, 3, 4), strict=True):
        transformation = pydicom.Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = slope, 0, "US"
        frame.PixelValueTransformationSequence = [transformation]
    [volume] = load([image]).volumes
    assert [frame.frame_number for frame in volume.frames] == [4, 3, 2, 1]
    assert volume.slice_spacing_mm == pytest.approx(2.0)
    assert volume.pixels.tolist() == [(SLICES[index].astype(int) * (index + 1)).tolist() for index in (3, 2, 1, 0)]
    assert volume.window is not None


def test_each_radiograph_is_a_volume(load):
    """Radiographs of one series are volumes of one slice each, without affine, MONOCHROME1 reflected."""
    grey = np.array([[0, 4095]])
    volumes = load(
        [
            radiograph((1, 2), pixels=grey, index=0),
            radiograph((1, 2), pixels=grey, index=1, PhotometricInterpretation="MONOCHROME1"),
        ]
    ).volumes
    assert [volume.shape for volume in volumes] == [(1, 1, 2), (1, 1, 2)]
    assert [volume.affine for volume in volumes] == [None, None]
    assert volumes[0].pixel_spacing_mm == (0.15, 0.15)
    assert volumes[0].pixels.tolist() == [[[0, 4095]]]
    assert volumes[1].pixels.tolist() == [[[4095, 0]]]  # window 2048, 4096 is centred on 2047.5
    assert [volume.stack_number for volume in volumes] == [1, 2]


def test_a_cine_is_one_stack_in_the_order_of_its_frames(load):
    """A multi-frame ultrasound image is one colour volume, frame by frame."""
    frames = (numbered((3, 4, 5, 3)) % 251).astype(np.uint8)
    cine = colour_ultrasound(
        (4, 5), pixels=frames, SOPClassUID=UltrasoundMultiFrameImageStorage, NumberOfFrames=3, series="cine"
    )
    [volume] = load([cine, colour_ultrasound()]).volumes
    assert volume.is_colour
    assert volume.pixels.tolist() == frames.tolist()
    assert [frame.frame_number for frame in volume.frames] == [1, 2, 3]
    assert volume.affine is None


def test_slices_without_any_geometry_stay_together(load):
    """A CT series that states no positions is one stack in the order of its numbers."""
    [volume] = load(ct_series(SLICES.shape, pixels=SLICES, ImagePositionPatient=None)).volumes
    assert volume.affine is None
    assert volume.shape == SLICES.shape


def test_one_slice_without_geometry_is_left_out(load):
    """A slice that alone in its series does not say where it lies is named, and the others are analysed."""
    series = mr_series(SLICES.shape, pixels=SLICES)
    del series[2].ImagePositionPatient
    study = load(series)
    assert [volume.shape[0] for volume in study.volumes] == [3]
    assert study.volumes[0].even_spacing is False
    [exclusion] = study.exclusions
    assert exclusion.sop_instance_uid == series[2].SOPInstanceUID
    assert "where it lies" in exclusion.reason


def test_secondary_captures_follow_the_configuration(load):
    """Secondary captures are read only when the settings ask for it."""
    capture = secondary_capture((2, 2), pixels=np.zeros((2, 2, 3)))
    assert load([capture]).volumes == ()
    assert len(load([capture], LoadSettings(secondary_capture="analyse")).volumes) == 1


@pytest.mark.parametrize(
    ("ids", "slices", "left_out"),
    [(("A", "A", "A", "B"), 3, [OTHER_PATIENT]), (("A", "A", "B", "B"), 0, [NO_MAJORITY] * 4)],
)
def test_nobody_elses_images_are_analysed(load, ids, slices, left_out):
    """Images of a minority patient are left out; without a majority all are, and no reason names anybody."""
    series = mr_series(SLICES.shape, pixels=SLICES)
    for dataset, patient_id in zip(series, ids, strict=True):
        dataset.PatientID = patient_id
    study = load(series)
    assert sum(volume.shape[0] for volume in study.volumes) == slices
    assert len(study.headers) == slices
    assert reasons(study) == left_out


def test_what_the_header_says_goes_with_the_pixels(load):
    """Modality and body part, as they stand there; silence where they do not."""
    [volume] = load(mr_series(SLICES.shape, pixels=SLICES, BodyPartExamined="HEAD ")).volumes
    assert volume.stated == Stated("MR", "HEAD")
    [volume] = load(mr_series(SLICES.shape, pixels=SLICES, BodyPartExamined=None)).volumes
    assert volume.stated == Stated("MR", "")


def test_a_header_that_names_the_patient_says_nothing(load):
    """What it says may stand in a reason, in the status and in the log."""
    named = {"PatientName": "Foote^Jane", "Modality": "FOOTE", "BodyPartExamined": "JANES HEAD"}
    [volume] = load(mr_series(SLICES.shape, pixels=SLICES, **named)).volumes
    assert volume.stated == Stated("", "")


def broken(**attributes):
    """One MR slice with something wrong."""
    [dataset] = mr_series((1, 8, 6), **{"pixels": SLICES[:1], "series": "broken"} | attributes)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return encoded(dataset)


WHOLE = broken()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not a DICOM file"),
        (b"no picture at all" * 20, "is not a DICOM file"),
        (WHOLE[:200], "does not readably state SOP Instance UID (0008,0018)"),
        (WHOLE[: WHOLE.index(b"\x28\x00\x02\x00US")], "does not readably state Samples per Pixel (0028,0002)"),
        (WHOLE[:-10], "holds 86 bytes of pixel data where its header asks for 96"),
        (broken(pixels=None), "carries no pixel data"),
        (broken(Rows=None), "does not readably state Rows (0028,0010)"),
        (broken(BitsAllocated=None), "does not readably state Bits Allocated (0028,0100)"),
        (broken(Rows=65535, Columns=65535), "more than this node decodes at once"),
        (broken(PixelRepresentation=None), "has pixel data that cannot be decoded as its header says"),
        (broken(SeriesInstanceUID=None), "does not readably state Series Instance UID (0020,000E)"),
        (broken(study="another"), "states the Study Instance UID of another study"),
        (WHOLE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"), "has pixel data that cannot be decoded"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_broken_file_is_named_and_the_rest_is_analysed(load, data, reason):
    """Whatever is wrong with one file, it is left out with its reason and the other images become a volume."""
    study = load([*mr_series(SLICES.shape, pixels=SLICES), data])
    assert [volume.shape for volume in study.volumes] == [SLICES.shape]
    [exclusion] = study.exclusions
    assert reason in exclusion.reason


def test_files_without_uids_go_by_their_name(load):
    """A file that names no instance is named by its own name."""
    [exclusion] = load([b"nothing"]).exclusions
    assert (exclusion.sop_instance_uid, exclusion.sop_class_uid, exclusion.series_instance_uid) == ("file000", "", "")


def test_a_repeated_instance_is_read_once(load):
    """Of two files with one SOP Instance UID the first counts."""
    image, again = mr_series((1, 8, 6), pixels=SLICES[:1])[0], mr_series((1, 8, 6), pixels=SLICES[1:2])[0]
    study = load([image, again])
    assert study.volumes[0].pixels.tolist() == SLICES[:1].tolist()
    assert reasons(study) == ["repeats the SOP Instance UID of another file of this study"]


def test_undecodable_attributes_are_dropped_and_the_image_is_kept(load):
    """An attribute that pydicom cannot convert is taken out of the header, where a later use would raise."""
    data = broken(PatientComments="abcdef").replace(b"LT\x06\x00abcdef", b"UL\x06\x00abcdef")
    study = load([data])
    assert len(study.volumes) == 1
    [header] = study.headers.values()
    assert "PatientComments" not in header
    assert "PatientID" in header


def test_headers_are_made_usable_as_a_whole_when_somebody_asks(load):
    """What reading does not look at stays as it is in the file until its header is asked for."""
    undecodable = broken(RequestedProcedureID="abcdef").replace(b"SH\x06\x00abcdef", b"UL\x06\x00abcdef")
    nested = mr_series((1, 8, 6), pixels=SLICES[:1], series="nested", ReferencedStudySequence=[pydicom.Dataset()])
    nested[0].ReferencedStudySequence[0].RequestedProcedureID = "abcdef"
    headers = load([undecodable, encoded(nested[0]).replace(b"SH\x06\x00abcdef", b"UL\x06\x00abcdef")]).headers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for header in headers.values():
            assert not list(header.group_dataset(0x0040))
            assert [not list(item) for item in header.get("ReferencedStudySequence", ())] in ([], [True])


@pytest.mark.parametrize(
    "datasets",
    [
        ct_series(SLICES.shape, pixels=SLICES),
        [enhanced_mr(SLICES.shape, pixels=SLICES)],
        [radiograph((8, 6), pixels=SLICES[0]), colour_ultrasound((8, 6), pixels=np.zeros((8, 6, 3)))],
    ],
)
def test_reading_looks_only_where_it_has_cleared(tmp_path, datasets, monkeypatch):
    """No element is converted that was not made usable before: a broken one would raise there."""
    looked_at = set()
    convert = pydicom.dataset.convert_raw_data_element

    def noted(raw, **options):
        looked_at.add(raw.tag)
        return convert(raw, **options)

    paths = [tmp_path / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(encoded(dataset))
    monkeypatch.setattr("dicom_node.usable_headers.drop_undecodable", lambda *_: None)
    monkeypatch.setattr("dicom_node.decoding.drop_undecodable", lambda *_: None)
    monkeypatch.setattr("dicom_node.decoding.plain_file", lambda _: None)  # which converts nothing by pydicom
    monkeypatch.setattr("pydicom.dataset.convert_raw_data_element", noted)
    study = load_study(STUDY, paths, LoadSettings())
    assert study.volumes
    top = {element.tag for dataset in datasets for element in dataset}
    assert {tag for tag in looked_at & top if not is_read(tag)} == set()
    assert len(looked_at) > 20


def test_patients_stay_out_of_the_log(load, caplog):
    """What is left out is logged with its reason and without name or ID."""
    caplog.set_level(logging.DEBUG)
    data = broken(Rows=None, PatientName="Secret^Name", PatientID="SECRET-ID", PatientBirthDate="19700101")
    load([data.replace(b"19700101", b"Secret-!")])
    assert [record.action for record in caplog.records] == ["instance_excluded"]
    assert "secret" not in caplog.text.lower()


def test_damaged_bytes_never_raise(load):
    """Two hundred files with flipped bytes each end as a volume or an exclusion."""
    chance = random.Random(7)
    for _ in range(200):
        data = bytearray(WHOLE)
        for _ in range(chance.choice((1, 3, 10))):
            data[chance.randrange(132, len(data))] = chance.randrange(256)
        study = load([bytes(data)])
        assert len(study.volumes) + len(study.exclusions) == 1


def corpus(kind):
    """The real files of one kind."""
    return sorted(path for path in (SHARED / kind).rglob("*") if path.is_file()) if SHARED.is_dir() else []


def study_uid(path):
    """The Study Instance UID of a real file, without pydicom's opinion of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(pydicom.dcmread(path, stop_before_pixels=True).get("StudyInstanceUID", ""))
        except pydicom.errors.InvalidDicomError:
            return ""


@needs_corpus
@pytest.mark.parametrize("kind", ["good", "bad", "nopixels"])
def test_every_real_file_is_read_or_explained(kind):
    """Every real image becomes a volume, and every other file an exclusion with a reason."""
    settings = LoadSettings(secondary_capture="analyse")
    no_picture = ("is not an image", "is a ", "does not readably state", "is not a DICOM file")
    for path in corpus(kind):
        study = load_study(study_uid(path), [path], settings)
        assert len(study.volumes) + len(study.exclusions) == 1, path
        if kind == "good" and not study.volumes:
            assert study.exclusions[0].reason.startswith(no_picture), (path, study.exclusions)
        elif kind != "good":
            assert study.exclusions, path
        for volume in study.volumes:
            assert np.isfinite(volume.pixels).all(), path


@needs_corpus
def test_all_real_files_as_one_study(tmp_path):
    """All real files given as one study of one patient: each is in a volume or explained, and none raises."""
    paths = [*corpus("bad"), *corpus("nopixels")]
    for number, path in enumerate(corpus("good")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            dataset.StudyInstanceUID, dataset.PatientID, dataset.IssuerOfPatientID = STUDY, "same", ""
            dataset.SOPInstanceUID = uid("corpus", number)
            with contextlib.suppress(AttributeError, TypeError, ValueError):  # some cannot be written again
                dataset.save_as(tmp_path / f"{number}.dcm")
        paths.append(path)
    paths += sorted(tmp_path.iterdir())
    study = load_study(STUDY, paths, LoadSettings(secondary_capture="analyse"))
    shown = {frame.sop_instance_uid for volume in study.volumes for frame in volume.frames}
    assert len(shown) + len(study.exclusions) == len(paths)
    assert len(study.volumes) > 50


@needs_corpus
def test_a_real_series_is_one_sorted_volume():
    """The 48 slices of a real T1 brain become one even volume with the spacing that they state."""
    paths = sorted((SHARED / "series" / "brain_t1").iterdir())
    random.Random(3).shuffle(paths)
    study = load_study(study_uid(paths[0]), paths, LoadSettings())
    [volume] = study.volumes
    assert (volume.shape, volume.even_spacing, study.exclusions) == ((48, 384, 274), True, ())
    assert volume.slice_spacing_mm == pytest.approx(0.6666667, abs=1e-5)
    assert volume.pixel_spacing_mm == pytest.approx((0.6666667, 0.6999878), abs=1e-6)
    for index, frame in enumerate(volume.frames):
        position = study.headers[frame.sop_instance_uid].ImagePositionPatient
        assert volume.affine @ [index, 0, 0, 1] == pytest.approx([*position, 1], abs=1e-3)
