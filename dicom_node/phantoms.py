"""Generated studies with known truth, as a modality would send them: for the demo and the tests.

No patient is real; UIDs derive from the seed, so the same seed makes the same studies.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)

from inference import phantoms
from inference.phantoms import Ellipsoid

#: (row cosines, column cosines) of the planes used here (PS3.3 C.7.6.2.1.1), patient coordinates LPS.
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_BRAIN_LESION = Ellipsoid((0.05, 0.1, -0.3), (0.35, 0.16, 0.13))


@dataclass(frozen=True, slots=True, eq=False)
class PhantomStudy:
    """One generated study. `lesion` is bool (instance, row, column) in the order of `instances`."""

    kind: str
    study_instance_uid: str
    instances: tuple[Dataset, ...]
    lesion: NDArray[np.bool_] | None = None
    lesion_volume_ml: float | None = None

    @property
    def expected(self) -> tuple[str, ...]:
        """Modalities of the results that a node with the reference packages sends, each once, in sending order."""
        return ("SEG", "SR", "PR", "OT") if self.lesion is not None else ("SR",)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What makes one kind of study what it is."""

    kind: str
    sop_class_uid: str
    modality: str
    body_part: str
    description: str
    orientation: tuple[float, ...] | None = None
    pixel_spacing_mm: float = 0.9
    slice_spacing_mm: float = 5.0
    window: tuple[float, float] | None = None
    #: Of a paired body part; the others have none (PS3.3 C.7.3.1).
    laterality: str | None = None


@dataclass(frozen=True, slots=True)
class _Identity:
    """The study all instances of a plan belong to."""

    seed: int
    kind: str
    when: datetime.datetime

    def uid(self, *parts: str) -> str:
        return str(generate_uid(entropy_srcs=["phantom", str(self.seed), self.kind, *parts]))


def _patient_and_study(identity: _Identity, plan: _Plan) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = f"Phantom^{plan.kind.title().replace(' ', '')}"
    ds.PatientID = f"PHANTOM-{identity.seed}-{plan.modality}"
    ds.PatientBirthDate = "19700101"
    ds.PatientSex = "O"
    ds.StudyInstanceUID = identity.uid("study")
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = identity.when.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = identity.when.strftime("%H%M%S")
    ds.AccessionNumber = f"P{identity.seed}{plan.modality}"
    ds.StudyID = "1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = f"Phantom: {plan.kind}"
    return ds


def _series(identity: _Identity, plan: _Plan) -> Dataset:
    ds = _patient_and_study(identity, plan)
    ds.SeriesInstanceUID = identity.uid("series")
    ds.FrameOfReferenceUID = identity.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.SOPClassUID = plan.sop_class_uid
    ds.Modality = plan.modality
    ds.SeriesNumber = 1
    ds.SeriesDescription = plan.description
    ds.BodyPartExamined = plan.body_part
    if plan.laterality is not None:
        ds.Laterality = plan.laterality
    ds.Manufacturer = "Phantom generator"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    return ds


def _place(ds: Dataset, plan: _Plan, index: int, shape: tuple[int, int]) -> None:
    if plan.orientation is None:
        ds.PatientOrientation = ""
        return
    row, column = np.array(plan.orientation[:3]), np.array(plan.orientation[3:])
    corner = -(row * shape[1] + column * shape[0]) * plan.pixel_spacing_mm / 2
    position = corner + np.cross(row, column) * index * plan.slice_spacing_mm
    ds.ImageOrientationPatient = list(plan.orientation)
    ds.ImagePositionPatient = [round(float(value), 3) for value in position]
    ds.PixelSpacing = [plan.pixel_spacing_mm, plan.pixel_spacing_mm]
    ds.SliceThickness = ds.SpacingBetweenSlices = plan.slice_spacing_mm


def _modality_attributes(ds: Dataset, plan: _Plan) -> None:
    match plan.modality:
        case "MR":
            ds.PatientPosition = "HFS"
            ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
            ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "NONE", "", "2D"
            ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = 100, 9000, 1
        case "CT":
            ds.PatientPosition = "HFS"
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.KVP, ds.AcquisitionNumber = 120, 1
            ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        case "CR":
            ds.ViewPosition = "PA"
            ds.ImagerPixelSpacing = ds.PixelSpacing = [plan.pixel_spacing_mm, plan.pixel_spacing_mm]
        case "XC":
            ds.AcquisitionContextSequence = []
            ds.LossyImageCompression = "00"


def _pixels(ds: Dataset, plan: _Plan, frame: NDArray[np.float32]) -> None:
    """Store one frame: colour as 8-bit RGB, grey as 16-bit words (CT offset by its rescale intercept)."""
    ds.Rows, ds.Columns = frame.shape[:2]
    if frame.ndim == 3:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = frame.astype(np.uint8).tobytes()
        return
    stored = frame + 1024 if plan.modality == "CT" else frame * 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.clip(stored.round(), 0, 4095).astype("<u2").tobytes()
    if plan.window is not None:
        ds.WindowCenter, ds.WindowWidth = plan.window


def _instance(identity: _Identity, plan: _Plan, index: int, frame: NDArray[np.float32]) -> Dataset:
    ds = _series(identity, plan)
    ds.SOPInstanceUID = identity.uid("instance", str(index))
    ds.InstanceNumber = index + 1
    if plan.orientation is None:
        del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    _place(ds, plan, index, (frame.shape[0], frame.shape[1]))
    _modality_attributes(ds, plan)
    _pixels(ds, plan, frame)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


_MR_WINDOW = (512.0, 1024.0)
_PLANS: tuple[tuple[_Plan, Callable[[np.random.Generator], phantoms.Phantom]], ...] = (
    (
        _Plan("brain MR", MRImageStorage, "MR", "BRAIN", "Axial FLAIR", _AXIAL, window=_MR_WINDOW),
        lambda rng: phantoms.brain_mr(rng, lesion=_BRAIN_LESION),
    ),
    (
        _Plan("knee MR", MRImageStorage, "MR", "KNEE", "Sagittal PD", _SAGITTAL, 0.6, 4.0, _MR_WINDOW, "R"),
        phantoms.knee_mr,
    ),
    (
        _Plan(
            "hand radiograph",
            ComputedRadiographyImageStorage,
            "CR",
            "HAND",
            "Hand PA",
            None,
            0.8,
            window=_MR_WINDOW,
            laterality="R",
        ),
        phantoms.hand_radiograph,
    ),
    (
        _Plan("abdomen CT", CTImageStorage, "CT", "ABDOMEN", "Axial abdomen", _AXIAL, 1.5, 5.0, (40.0, 400.0)),
        phantoms.abdomen_ct,
    ),
    (
        _Plan("colour ultrasound", UltrasoundImageStorage, "US", "BREAST", "Breast", laterality="R"),
        phantoms.colour_ultrasound,
    ),
    (
        _Plan("photograph", VLPhotographicImageStorage, "XC", "SKIN", "Photograph of skin", laterality=""),
        phantoms.photograph,
    ),
)


def phantom_studies(seed: int, when: datetime.datetime, kinds: Collection[str] = ()) -> tuple[PhantomStudy, ...]:
    """One study of each kind, or of these; the brain has a lesion whose true voxels and volume come with it."""
    studies = []
    for number, (plan, draw) in enumerate(_PLANS):
        if kinds and plan.kind not in kinds:
            continue
        identity = _Identity(seed, plan.kind, when)
        drawn = draw(np.random.default_rng([seed, number]))
        instances = tuple(_instance(identity, plan, index, frame) for index, frame in enumerate(drawn.pixels))
        lesion = drawn.lesion if drawn.lesion is not None and drawn.lesion.any() else None
        volume = None
        if lesion is not None:
            volume = float(lesion.sum()) * plan.pixel_spacing_mm**2 * plan.slice_spacing_mm / 1000
        studies.append(PhantomStudy(plan.kind, identity.uid("study"), instances, lesion, volume))
    return tuple(studies)
