"""What a received object is, and whether a study is complete: decisions of values alone, each with its reason.

Nothing here touches clock, disk or network; times and counts come in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import uid

from dicom_node.domain.study import InstanceKind, StudyActivity


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing more is expected for the study."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """More may come."""

    reason: str


def is_settled(
    activity: StudyActivity, *, open_associations: int, quiet_seconds: float, now: float
) -> Settled | Waiting:
    """Whether a study is complete: no association that sent images of it is open, none came for `quiet_seconds`.

    A clock that was set back prolongs the wait, and never ends it early.
    """
    if open_associations:
        return Waiting(f"still open: {_counted(open_associations, 'association')} that sent images of it")
    quiet = now - activity.last_received_at
    images = _counted(activity.image_count, "image")
    if quiet < quiet_seconds:
        return Waiting(f"{images}, the last {quiet:.1f} s ago; settled after {quiet_seconds:g} s without another")
    return Settled(f"{images}, none for {quiet:.1f} s, and no association that sent any is open")


#: Storage SOP classes whose instances are pictures (PS3.4 B.5 and, retired but still sent, earlier editions).
IMAGE_STORAGE: frozenset[str] = frozenset(
    {
        # X-ray: computed, digital, mammography, intra-oral
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.DigitalIntraOralXRayImageStorageForPresentation,
        uid.DigitalIntraOralXRayImageStorageForProcessing,
        # X-ray: angiography, fluoroscopy, three-dimensional, breast
        uid.XRayAngiographicImageStorage,
        uid.EnhancedXAImageStorage,
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane Image Storage (retired)
        uid.XRayRadiofluoroscopicImageStorage,
        uid.EnhancedXRFImageStorage,
        uid.XRay3DAngiographicImageStorage,
        uid.XRay3DCraniofacialImageStorage,
        uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
        # CT and MR
        uid.CTImageStorage,
        uid.EnhancedCTImageStorage,
        uid.LegacyConvertedEnhancedCTImageStorage,
        uid.MRImageStorage,
        uid.EnhancedMRImageStorage,
        uid.EnhancedMRColorImageStorage,
        uid.LegacyConvertedEnhancedMRImageStorage,
        # nuclear medicine
        uid.NuclearMedicineImageStorage,
        "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image Storage (retired)
        uid.PositronEmissionTomographyImageStorage,
        uid.EnhancedPETImageStorage,
        uid.LegacyConvertedEnhancedPETImageStorage,
        # ultrasound and photoacoustic
        uid.UltrasoundImageStorage,
        uid.UltrasoundMultiFrameImageStorage,
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image Storage (retired)
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image Storage (retired)
        uid.EnhancedUSVolumeStorage,
        uid.PhotoacousticImageStorage,
        # secondary capture
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
        # visible light
        uid.VLEndoscopicImageStorage,
        uid.VideoEndoscopicImageStorage,
        uid.VLMicroscopicImageStorage,
        uid.VideoMicroscopicImageStorage,
        uid.VLSlideCoordinatesMicroscopicImageStorage,
        uid.VLWholeSlideMicroscopyImageStorage,
        uid.ConfocalMicroscopyImageStorage,
        uid.ConfocalMicroscopyTiledPyramidalImageStorage,
        uid.VLPhotographicImageStorage,
        uid.VideoPhotographicImageStorage,
        uid.DermoscopicPhotographyImageStorage,
        "1.2.840.10008.5.1.4.1.1.77.1",  # VL Image Storage - Trial (retired)
        "1.2.840.10008.5.1.4.1.1.77.2",  # VL Multi-frame Image Storage - Trial (retired)
        # eye and vessel, by light
        uid.OphthalmicPhotography8BitImageStorage,
        uid.OphthalmicPhotography16BitImageStorage,
        uid.OphthalmicTomographyImageStorage,
        uid.WideFieldOphthalmicPhotographyStereographicProjectionImageStorage,
        uid.WideFieldOphthalmicPhotography3DCoordinatesImageStorage,
        uid.OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
        uid.IntravascularOpticalCoherenceTomographyImageStorageForPresentation,
        uid.IntravascularOpticalCoherenceTomographyImageStorageForProcessing,
        # radiotherapy
        uid.RTImageStorage,
        uid.EnhancedRTImageStorage,
        uid.EnhancedContinuousRTImageStorage,
    }
)


def classify_object(sop_class_uid: str, is_own: bool) -> InstanceKind:
    """What a received object is to the node; `is_own` when the node made it. Unknown SOP classes are no images."""
    if is_own:
        return InstanceKind.OWN_RESULT
    return InstanceKind.IMAGE if sop_class_uid in IMAGE_STORAGE else InstanceKind.NOT_AN_IMAGE


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
