"""What may come in, what it is, and whether a study is complete: decisions of values alone, each with its reason.

Nothing here touches clock, disk or network; times, addresses and counts come in as arguments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydicom import uid

from dicom_node.domain.study import InstanceKind, StudyActivity


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """A peer that may send. `name` is its key in the configuration, `addresses` the IP addresses its host has now."""

    name: str
    ae_title: str
    addresses: Collection[str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The association may come in."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The association may not come in: Result, Source and Reason/Diag. of the A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    diagnostic: int
    #: For the log; the peer is told the numbers only.
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing more is expected for the study."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """More may come."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """One A-ASSOCIATE-RJ (PS3.8 Table 9-21): its numbers, the standard's name, and when this node sends it."""

    result: int
    source: int
    diagnostic: int
    name: str
    cause: str


_CALLING_AE_TITLE_NOT_RECOGNIZED = Rejection(
    1, 1, 3, "calling-AE-title-not-recognized", "AE title or address of the peer is in no entry of receive.from"
)
_CALLED_AE_TITLE_NOT_RECOGNIZED = Rejection(
    1, 1, 7, "called-AE-title-not-recognized", "another AE title than node.ae_title was called"
)
_LOCAL_LIMIT_EXCEEDED = Rejection(
    2, 3, 2, "local-limit-exceeded", "node.maximum_associations are open; the peer may try again"
)
#: Every rejection of this node.
REJECTIONS = (_CALLED_AE_TITLE_NOT_RECOGNIZED, _CALLING_AE_TITLE_NOT_RECOGNIZED, _LOCAL_LIMIT_EXCEEDED)


def admit(
    calling_ae_title: str, address: str, called_ae_title: str, allowed: Sequence[AllowedPeer], own_ae_title: str
) -> Admitted | Rejected:
    """Whether an association may come in, from whom it says it is, where it comes from and whom it calls.

    Spaces around an AE title do not count (PS3.5 6.2). The standard has no diagnostic for a known AE title at a
    strange address; for the peer that is a calling AE title not recognised, the reason tells the difference.
    """
    calling, called = calling_ae_title.strip(" "), called_ae_title.strip(" ")
    if called != own_ae_title.strip(" "):
        reason = f"it called {called!r}, but this node is {own_ae_title!r}; correct the peer, or set node.ae_title"
        return _rejected(_CALLED_AE_TITLE_NOT_RECOGNIZED, reason)
    namesakes = [peer for peer in allowed if peer.ae_title.strip(" ") == calling]
    if not namesakes:
        reason = f"no peer in receive.from has the AE title {calling!r}; add the peer under peers and name it there"
        return _rejected(_CALLING_AE_TITLE_NOT_RECOGNIZED, reason)
    for peer in namesakes:
        if _plain(address) in map(_plain, peer.addresses):
            return Admitted(f"is peer {peer.name}")
    known = ", ".join(f"peers.{peer.name}.host ({' '.join(sorted(peer.addresses)) or 'unknown'})" for peer in namesakes)
    reason = f"{calling!r} came from {address}, which is not the address of {known}; correct the host there"
    return _rejected(_CALLING_AE_TITLE_NOT_RECOGNIZED, reason)


def make_room(open_associations: int, maximum_associations: int) -> Admitted | Rejected:
    """Whether one more association may come in beside those that are open."""
    if open_associations < maximum_associations:
        return Admitted(f"{open_associations} of {maximum_associations} associations are open")
    reason = f"{open_associations} associations are open; have it try again, or raise node.maximum_associations"
    return _rejected(_LOCAL_LIMIT_EXCEEDED, reason)


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


def _rejected(rejection: Rejection, reason: str) -> Rejected:
    return Rejected(rejection.result, rejection.source, rejection.diagnostic, reason)


def _plain(address: str) -> str:
    """An IP address in its one shortest form: a dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
