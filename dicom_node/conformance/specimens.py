"""Analyses of an invented study, encoded as any other: what the node writes is read off the objects themselves.

Each variant changes one thing. An attribute that another study changes comes from the images, one that another AE
title changes from the configuration; so no list of sources has to be kept beside the code.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset, uid
from pydicom.datadict import dictionary_VR

from dicom_node.equipment import equipment_of
from inference.findings import (
    Agreement,
    Algorithm,
    Analysis,
    Classification,
    Defect,
    Exclusion,
    HeaderCheck,
    Measurement,
    Outcome,
    QualityFlag,
    Quantity,
    Region,
    Segment,
    StageRun,
    Task,
    VolumeAnalysis,
)
from inference.volume import FrameReference, Volume
from inference.voxels import Mask
from sr_writer.encode import encode
from sr_writer.inheritance import OPTIONAL, REQUIRED
from sr_writer.profiles import PROFILES, Profile, ReportForm, ResultKind, SegmentationForm
from sr_writer.report import REQUEST

_SLICES = 3
#: Every kind of object, and both SOP classes of segmentations and of reports.
_PROFILES = (
    PROFILES["everything"],
    Profile(frozenset({ResultKind.SEGMENTATION}), segmentation=SegmentationForm.LABELMAP),
    Profile(frozenset({ResultKind.REPORT}), report_form=ReportForm.COMPREHENSIVE),
)
#: Scheme of the codes that the invented images carry; where it turns up in a result, a code was copied.
FOREIGN_SCHEME = "99IMAGES"
_MODEL = Algorithm("model", "1.0", "maker", "0" * 64, (("threshold", "0.5"),))
#: A value of each value representation, other ones for another study (PS3.5 6.2).
_VALUES: Mapping[str, tuple[object, object]] = {
    "AS": ("040Y", "041Y"),
    "CS": ("ONE", "TWO"),
    "DA": ("20200101", "20200202"),
    "DS": ("1.5", "2.5"),
    "LO": ("one", "two"),
    "LT": ("one", "two"),
    "PN": ("One^Only", "Two^Only"),
    "SH": ("one", "two"),
    "ST": ("one", "two"),
    "TM": ("010000", "020000"),
    "UI": ("1.2.3.1", "1.2.3.2"),
    "US": (1, 2),
    "UT": ("one", "two"),
}
#: Of attributes that have no others (C.7.1.1, C.7.2.2).
_ENUMERATED: Mapping[str, tuple[str, str]] = {
    "PatientSex": ("F", "M"),
    "PatientSexNeutered": ("ALTERED", "UNALTERED"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "QualityControlSubject": ("YES", "NO"),
    "SmokingStatus": ("YES", "NO"),
}


@dataclass(frozen=True, slots=True)
class Specimen:
    """What goes into an encoding besides findings that are always the same."""

    ae_title: str = "AINODE"
    #: 0 or 1: which of two studies, alike in nothing that may differ.
    study: int = 0
    #: Whether the images carry no more than their modules require.
    bare: bool = False
    #: Volumes without findings before the one with findings.
    volumes_before: int = 0
    when: datetime.datetime = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    algorithm: Algorithm = _MODEL
    #: 0 or 1: which of two sets of findings, alike in nothing that may differ.
    findings: int = 0


#: What may influence an attribute -> a specimen in which that alone is another.
INFLUENCES: Mapping[str, Specimen] = {
    "images": Specimen(study=1),
    "configuration": Specimen(ae_title="OTHER"),
    "model package": Specimen(algorithm=Algorithm("other", "2.0", "another", "1" * 64, (("threshold", "0.6"),))),
    "findings": Specimen(findings=1),
    "start of the analysis": Specimen(when=datetime.datetime(2021, 2, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)),
    "number of the volume": Specimen(volumes_before=1),
}


def make(specimen: Specimen) -> tuple[dict[str, Dataset], dict[str, Dataset]]:
    """Headers of the images by SOP Instance UID, and the last result object of each SOP class by its UID."""
    images = [*(_image(specimen, index) for index in range(_SLICES)), _colour_image(specimen)]
    sources = {image.SOPInstanceUID: image for image in images}
    equipment = equipment_of(specimen.ae_title)
    objects = [
        each
        for profile in _PROFILES
        for each in encode(_analysis(images, specimen, profile), sources, equipment, specimen.when, profile)
    ]
    return sources, {str(each.SOPClassUID): each for each in objects}


def _image(specimen: Specimen, index: int) -> Dataset:
    """One axial MR slice with every attribute that results take over."""
    other = specimen.study
    image = Dataset()
    for keyword in REQUIRED if specimen.bare else (*REQUIRED, *OPTIONAL):
        setattr(image, keyword, None if specimen.bare else _value(keyword, other))
    root = f"1.2.3.{other + 4}"
    image.SOPClassUID = _either(uid.MRImageStorage, uid.CTImageStorage, other)
    image.SOPInstanceUID = f"{root}.1.{index + 1}"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = f"{root}.2", f"{root}.3", f"{root}.4"
    image.Modality, image.SeriesNumber = _either("MR", "CT", other), other + 1
    image.PositionReferenceIndicator = _either("one", "two", other)
    image.Rows, image.Columns = 16 + other, 18 + other
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, _either("MONOCHROME2", "MONOCHROME1", other)
    image.ImageOrientationPatient = _either([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], other)
    image.ImagePositionPatient = _either([0, 0, index * 3], [index * 4, 0, 0], other)
    image.PixelSpacing, image.SliceThickness = _either([0.5, 0.5], [0.75, 0.75], other), 3 + other
    if not specimen.bare:
        _add_optional(image, other)
    return image


def _colour_image(specimen: Specimen) -> Dataset:
    """One more image of the study, in colour and without a place."""
    image = _image(specimen, _SLICES)
    image.SeriesInstanceUID, image.SamplesPerPixel = f"{image.SeriesInstanceUID}.1", 3
    image.PhotometricInterpretation = "RGB"
    del image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
    return image


def _add_optional(image: Dataset, other: int) -> None:
    """What results take over beside patient and study, where the images have it."""
    image.BodyPartExamined, image.Laterality = _either("BRAIN", "HEAD", other), _either("L", "R", other)
    image.TimezoneOffsetFromUTC = _either("+0100", "+0200", other)
    image.WindowCenter, image.WindowWidth = 40 + other, 80 + other
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = other, 1 + other, _either("US", "HU", other)
    image.LossyImageCompression, image.LossyImageCompressionRatio = "01", 10 + other
    image.LossyImageCompressionMethod = _either("ISO_10918_1", "ISO_15444_1", other)
    image.RequestAttributesSequence = [_item(**{keyword: _value(keyword, other) for keyword in REQUEST})]


def _value(keyword: str, other: int) -> object:
    """Some value of an attribute; of a sequence one item with a code."""
    vr = dictionary_VR(keyword)
    if keyword in _ENUMERATED:
        return _ENUMERATED[keyword][other]
    if vr == "SQ":
        word = _either("one", "two", other)
        return [_item(CodeValue=word, CodingSchemeDesignator=FOREIGN_SCHEME, CodeMeaning=word)]
    return _VALUES[vr][other]


def _either(one: object, two: object, other: int) -> object:
    return two if other else one


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _analysis(images: list[Dataset], specimen: Specimen, profile: Profile) -> Analysis:
    """Every kind of answer once: seen, found, not done, broken, of poor quality, left out."""
    first = images[0]
    volume = Volume(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=first.SeriesInstanceUID,
        pixels=np.zeros((_SLICES, first.Rows, first.Columns), dtype=np.float32),
        frames=tuple(FrameReference(image.SOPClassUID, image.SOPInstanceUID) for image in images[:_SLICES]),
        affine=np.eye(4),
        pixel_spacing_mm=tuple(float(value) for value in first.PixelSpacing),  # type: ignore[arg-type]  # two of them
        slice_spacing_mm=float(first.SliceThickness),
    )
    quality = QualityFlag(Defect.CLIPPED, "values are clipped", refused=False)
    empty = VolumeAnalysis(volume, ())
    exclusion = Exclusion("1.2.3.9", uid.MRImageStorage, first.SeriesInstanceUID, "is a localizer")
    analysed = VolumeAnalysis(volume, _runs(volume, specimen, profile), (quality,))
    volumes = (*[empty] * specimen.volumes_before, analysed, _in_colour(images[-1], specimen))
    return Analysis(first.StudyInstanceUID, volumes, (exclusion,))


def _in_colour(image: Dataset, specimen: Specimen) -> VolumeAnalysis:
    """A box on the colour image."""
    volume = Volume(
        study_instance_uid=image.StudyInstanceUID,
        series_instance_uid=image.SeriesInstanceUID,
        pixels=np.zeros((1, image.Rows, image.Columns, 3), dtype=np.float32),
        frames=(FrameReference(image.SOPClassUID, image.SOPInstanceUID),),
    )
    box = replace(_region(specimen.findings), slice_index=0)
    run = StageRun("abnormality", Task.DETECTION, Outcome.COMPLETE, algorithm=specimen.algorithm, regions=(box,))
    return VolumeAnalysis(volume, (run,))


def _runs(volume: Volume, specimen: Specimen, profile: Profile) -> tuple[StageRun, ...]:
    classified = StageRun("modality", Task.CLASSIFICATION, Outcome.COMPLETE, algorithm=specimen.algorithm)
    modality = Classification("mr", 0.9, (("mr", 0.9),), (1,))
    region = _either("brain", "knee", specimen.findings)
    segments = _segments(volume, specimen.findings)
    if profile.segmentation is SegmentationForm.LABELMAP:
        segments = segments[:1]  # the second one overlaps, for which there is no label map
    found = (
        replace(classified, classification=modality, header=HeaderCheck(Agreement.AGREES, "MR")),
        replace(
            classified,
            stage="MRI region",
            classification=replace(modality, label=str(region)),
            header=HeaderCheck(Agreement.SILENT, ""),
        ),
        replace(classified, stage="tumour", task=Task.SEGMENTATION, segments=segments),
        replace(classified, stage="abnormality", task=Task.DETECTION, regions=(_region(specimen.findings),)),
        replace(classified, stage="lesion", task=Task.DETECTION),
    )
    if specimen.findings:
        return found
    return (
        *found,
        StageRun("plane", Task.CLASSIFICATION, Outcome.NOT_ATTEMPTED, "not asked"),
        StageRun("other", Task.DETECTION, Outcome.FAILED, "broke", specimen.algorithm),
    )


def _segments(volume: Volume, other: int) -> tuple[Segment, ...]:
    """A square on one slice; or a step on two, which overlaps with a second one."""
    mask = np.zeros(volume.shape, dtype=np.bool_)
    mask[1, 3:6, 3:6] = True
    if other:
        mask[1, 6, 3:9] = mask[2, 3:6, 3:6] = True
    measured = (
        Measurement(Quantity.VOLUME_ML, 1.0 + other),
        Measurement(Quantity.LONG_AXIS_MM, 4.0 + other, 1),
        Measurement(Quantity.SHORT_AXIS_MM, 3.0 + other, 1),
    )
    label = str(_either("tumour", "lesion", other))
    return tuple(Segment(label, number, Mask.of(mask), 0.9 - other / 10, measured) for number in range(1, 2 + other))


def _region(other: int) -> Region:
    return Region(str(_either("abnormality", "lesion", other)), 0.9 - other / 10, 1, 8, 8, 12 + other, 12)
