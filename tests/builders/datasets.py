"""Builds source data sets of known geometry for tests: stacks, enhanced MR, radiographs, colour ultrasound, captures.

Every builder takes `pixels` (an array to encode, or None for a header as `stop_before_pixels=True` leaves it) and
keyword `attributes` by DICOM keyword that replace what it would write; the value None removes the attribute.
UIDs derive from `study` and `series`, so the same call makes the same data set. Identities are invented.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    generate_uid,
)

#: Image Orientation (Patient), row then column direction, of the three planes and of one tilted stack (PS3.3 C.7.6.2).
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, float(np.cos(np.radians(30))), float(np.sin(np.radians(30))))


def uid(*names: object) -> str:
    """The same UID for the same names."""
    return generate_uid(entropy_srcs=["tests", *(str(name) for name in names)])


def mr_series(
    shape: tuple[int, int, int] = (6, 32, 24),
    *,
    pixels: ArrayLike | None = None,
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float, float] = (3.0, 0.9, 0.8),
    origin: tuple[float, float, float] = (-10.0, -20.0, -30.0),
    descending: bool = False,
    study: str = "study",
    series: str = "mr",
    **attributes: object,
) -> list[Dataset]:
    """A stack of MR images in the order of their Instance Number.

    `shape` and `pixels` have axes (slice, row, column), `spacing` is (between slices, between rows, between columns)
    in mm, `origin` the position of the first pixel of slice 0. Slices advance along the stack's normal;
    `descending` numbers and lists them from the far end.
    """
    array = None if pixels is None else np.asarray(pixels)
    normal = np.cross(orientation[:3], orientation[3:])
    order = range(shape[0])
    datasets = []
    for number, index in enumerate(reversed(order) if descending else order, start=1):
        dataset = _image(MRImageStorage, "MR", study, series, index)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        dataset.InstanceNumber = number
        _patient_geometry(dataset, orientation, np.asarray(origin) + index * spacing[0] * normal, spacing)
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.RepetitionTime = "2D", "10", "500"
        dataset.EchoTrainLength, dataset.MagneticFieldStrength = "1", "1.5"
        _grey(dataset, shape[1:], None if array is None else array[index], bits=16)
        dataset.WindowCenter, dataset.WindowWidth = "400", "800"
        datasets.append(_finished(dataset, attributes))
    return datasets


def ct_series(shape: tuple[int, int, int] = (6, 32, 24), **parameters: Any) -> list[Dataset]:
    """A stack of CT images; parameters as for `mr_series`, stored values are HU + 1024."""
    removed: dict[str, Any] = dict.fromkeys(
        ("ScanningSequence", "SequenceVariant", "MRAcquisitionType", "EchoTime", "RepetitionTime", "EchoTrainLength"),
    )
    ct: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "KVP": "120",
        "WindowCenter": "40",
        "WindowWidth": "80",
        "MagneticFieldStrength": None,
        "series": "ct",
    }
    return mr_series(shape, **(removed | ct | parameters))


def enhanced_mr(
    shape: tuple[int, int, int] = (6, 32, 24),
    *,
    pixels: ArrayLike | None = None,
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float, float] = (3.0, 0.9, 0.8),
    origin: tuple[float, float, float] = (-10.0, -20.0, -30.0),
    study: str = "study",
    series: str = "enhanced",
    **attributes: object,
) -> Dataset:
    """One multi-frame MR image; frame n is slice n-1, axes and units as for `mr_series`."""
    dataset = _image(EnhancedMRImageStorage, "MR", study, series, 0)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
    dataset.NumberOfFrames = shape[0]
    dataset.FrameOfReferenceUID = uid(study, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid(study, series, "dimensions"))]
    dataset.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=uid(study, series, "dimensions"),
            DimensionIndexPointer=0x00209057,
            FunctionalGroupPointer=0x00209111,
        )
    ]
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[f"{v:.6f}" for v in orientation])],
            PixelMeasuresSequence=[
                _item(SliceThickness=spacing[0], SpacingBetweenSlices=spacing[0], PixelSpacing=list(spacing[1:]))
            ],
            FrameVOILUTSequence=[_item(WindowCenter="400", WindowWidth="800")],
        )
    ]
    normal = np.cross(orientation[:3], orientation[3:])
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[
                _item(ImagePositionPatient=[f"{v:.4f}" for v in np.asarray(origin) + index * spacing[0] * normal])
            ],
            FrameContentSequence=[
                _item(StackID="1", InStackPositionNumber=index + 1, DimensionIndexValues=[index + 1])
            ],
        )
        for index in range(shape[0])
    ]
    _grey(dataset, shape[1:], None if pixels is None else np.asarray(pixels), bits=16)
    return _finished(dataset, attributes)


def radiograph(
    shape: tuple[int, int] = (40, 30),
    *,
    pixels: ArrayLike | None = None,
    modality: str = "DX",
    study: str = "study",
    series: str = "xr",
    index: int = 0,
    **attributes: object,
) -> Dataset:
    """One projection radiograph of a right wrist; `modality` is DX (with a pixel spacing at the detector) or CR.

    `shape` and `pixels` have axes (row, column). Pass PhotometricInterpretation="MONOCHROME1" for inverted grey.
    """
    storage = {"DX": DigitalXRayImageStorageForPresentation, "CR": ComputedRadiographyImageStorage}[modality]
    dataset = _image(storage, modality, study, series, index)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined, dataset.ViewPosition = "WRIST", "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.Laterality = "R"
    dataset.ImagerPixelSpacing = ["0.15", "0.15"]
    if modality == "DX":
        del dataset.Laterality
        dataset.ImageLaterality, dataset.PresentationIntentType = "R", "FOR PRESENTATION"
        dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        dataset.PresentationLUTShape, dataset.LossyImageCompression, dataset.BurnedInAnnotation = "IDENTITY", "00", "NO"
    _grey(dataset, shape, None if pixels is None else np.asarray(pixels), bits=12)
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    return _finished(dataset, attributes)


def colour_ultrasound(
    shape: tuple[int, int] = (32, 48),
    *,
    pixels: ArrayLike | None = None,
    study: str = "study",
    series: str = "us",
    index: int = 0,
    **attributes: object,
) -> Dataset:
    """One RGB ultrasound image; `pixels` has axes (row, column, RGB), 0..255."""
    dataset = _image(UltrasoundImageStorage, "US", study, series, index)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    _colour(dataset, shape, None if pixels is None else np.asarray(pixels))
    return _finished(dataset, attributes)


def secondary_capture(
    shape: tuple[int, int] = (32, 48),
    *,
    pixels: ArrayLike | None = None,
    study: str = "study",
    series: str = "sc",
    index: int = 0,
    **attributes: object,
) -> Dataset:
    """One RGB secondary capture of a workstation's screen; `pixels` has axes (row, column, RGB), 0..255."""
    dataset = _image(SecondaryCaptureImageStorage, "OT", study, series, index)
    dataset.ImageType, dataset.ConversionType = ["DERIVED", "SECONDARY"], "WSD"
    _colour(dataset, shape, None if pixels is None else np.asarray(pixels))
    return _finished(dataset, attributes)


def encoded(dataset: Dataset) -> bytes:
    """The data set as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def header(dataset: Dataset) -> Dataset:
    """What a reader gets that writes the data set to a file and stops before the pixels."""
    return pydicom.dcmread(io.BytesIO(encoded(dataset)), stop_before_pixels=True)


def _image(storage: str, modality: str, study: str, series: str, index: int) -> Dataset:
    """Patient, study, series and equipment as every image here carries them."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = storage, uid(study, series, index)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(study), uid(study, series)
    dataset.PatientName, dataset.PatientID = "Doe^Builder", "B-0001"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19700101", "O", "055Y"
    dataset.StudyID, dataset.AccessionNumber, dataset.StudyDescription = "S1", "A-0001", "Generated study"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260115"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = modality, 1, "Generated"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Builder", "Generator"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1"
    dataset.InstanceNumber = index + 1
    return dataset


def _patient_geometry(
    dataset: Dataset, orientation: tuple[float, ...], position: NDArray[np.float64], spacing: tuple[float, float, float]
) -> None:
    """Image Plane and Frame of Reference modules."""
    dataset.FrameOfReferenceUID = uid(dataset.StudyInstanceUID, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "BRAIN"
    dataset.ImageOrientationPatient = [f"{value:.6f}" for value in orientation]
    dataset.ImagePositionPatient = [f"{value:.4f}" for value in position]
    dataset.PixelSpacing = [str(spacing[1]), str(spacing[2])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = str(spacing[0])


def _grey(dataset: Dataset, shape: tuple[int, ...], pixels: NDArray[Any] | None, *, bits: int) -> None:
    """Image Pixel module of one grey channel in 16 bits allocated; `pixels` is cast to unsigned."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, bits, bits - 1, 0
    if pixels is not None:
        dataset.PixelData = pixels.astype("<u2").tobytes()


def _colour(dataset: Dataset, shape: tuple[int, int], pixels: NDArray[Any] | None) -> None:
    """Image Pixel module of interleaved 8-bit RGB."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if pixels is not None:
        data = pixels.astype(np.uint8).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)


def _finished(dataset: Dataset, attributes: dict[str, object]) -> Dataset:
    """Applies what the caller wants otherwise and adds the file meta information."""
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _item(**attributes: object) -> Dataset:
    """A sequence item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
