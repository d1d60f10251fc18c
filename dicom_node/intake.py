"""What a received object is, and whether a study is complete: decisions of values alone, each with its reason.

Nothing here touches clock, disk or network; times and counts come in as arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    peer_holds_more: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for more of a study."""

    #: Without a new image, and without an open association that sent one.
    quiet_seconds: float
    #: Without a new image, though an association is open or a peer holds more.
    at_most_seconds: float


@dataclass(frozen=True, slots=True)
class Holding:
    """What a peer that sent images of a study has answered: how many instances it holds, without this node's own."""

    peer: str
    calling_ae_title: str
    instance_count: int
    #: How many had been received from it when it was asked.
    received_count: int
    #: Its answer before that; None when this is its first.
    earlier_count: int | None = None

    def settles(self, received_count: int, *, open_associations: int) -> bool:
        """Whether all that the peer holds is there, and it is not about to hold more.

        An answer from before the latest instance proves nothing. Neither does a single one as long as an association
        is open or the count has grown: the peer may still be receiving the study itself.
        """
        is_all = received_count == self.received_count == self.instance_count
        has_grown = self.earlier_count is not None and self.earlier_count < self.instance_count
        is_steady = self.earlier_count == self.instance_count
        return is_all and (is_steady or not (open_associations or has_grown))


def is_settled(
    activity: StudyActivity, patience: Patience, holdings: Sequence[Holding], *, open_associations: int, now: float
) -> Settled | Waiting:
    """Whether a study is complete: all peers that sent images of it say so, or it has been quiet for long enough.

    `holdings` are the latest answers of those peers that have given one. A peer that holds more, or an association
    that sent images and is open, prolongs the wait up to the bound. A clock that was set back prolongs it, too, and
    never ends it early.
    """
    received = {sender.calling_ae_title: sender.instance_count for sender in activity.senders}
    answered = {each.calling_ae_title: each for each in holdings if each.calling_ae_title in received}
    told = "; ".join(_compared(received[sender], answer) for sender, answer in answered.items())
    is_all_there = answered.keys() == received.keys() and all(
        answer.settles(received[sender], open_associations=open_associations) for sender, answer in answered.items()
    )
    if answered and is_all_there:
        return Settled(told)
    quiet, images = now - activity.last_received_at, _counted(activity.image_count, "image")
    holds_more = any(answer.instance_count > received[sender] for sender, answer in answered.items())
    if holds_more or open_associations:
        left = f"still open: {_counted(open_associations, 'association')} that sent images of it"
        reason = told if holds_more else left
        if quiet < max(patience.at_most_seconds, patience.quiet_seconds):
            return Waiting(reason, peer_holds_more=holds_more)
        return Settled(f"{reason}; {images}, none for {quiet:.0f} s")
    if quiet < patience.quiet_seconds:
        until = f"settled after {patience.quiet_seconds:g} s without another"
        return Waiting(f"{images}, the last {quiet:.1f} s ago; {until}")
    return Settled(f"{images}, none for {quiet:.1f} s, and no association that sent any is open")


def _compared(received_count: int, holding: Holding) -> str:
    return f"{received_count} of {holding.instance_count} instances that {holding.peer} holds"


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
