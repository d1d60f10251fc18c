"""Which instances of a study are pictures worth analysing, and whose; decides on headers alone and touches no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from pydicom import config
from pydicom.multival import MultiValue
from pydicom.uid import UID

from dicom_node.domain.study import Maker
from dicom_node.equipment import is_own
from dicom_node.headers import Header

OTHER_PATIENT = "belongs to another patient than most of this study"
NO_MAJORITY = "is in a study of several patients, none of whom has most of the images; whose it is, a person must tell"

#: SOP classes named "... Image Storage" whose pixels are no picture that a stack can be made of (PS3.4 B.5).
NO_STACK = {
    "1.2.840.10008.5.1.4.1.1.77.1.6": "is a whole slide microscopy image, whose frames are tiles",
    "1.2.840.10008.5.1.4.1.1.77.1.9": "is a tiled microscopy image",
    "1.2.840.10008.5.1.4.1.1.481.1": "is a radiotherapy verification image",
    "1.2.840.10008.5.1.4.1.1.481.23": "is a radiotherapy verification image",
    "1.2.840.10008.5.1.4.1.1.481.24": "is a radiotherapy verification image",
}

#: Secondary Capture and its four multi-frame forms (PS3.3 A.8).
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: Image Type (0008,0008) value 3 onward; LOCALIZER is the standard's (PS3.3 C.8.2.1.1.1), the others are vendors'.
LOCALIZERS = frozenset({"LOCALIZER", "LOCALISER", "SCOUT", "SURVEY", "TOPOGRAM"})

#: Image Type value 3 onward, and Volume Based Calculation Technique (0008,9207, C.8.16.2.1.3): computed maps and
#: projections, whose grey values are no longer those of the modality's pictures. Trace-weighted diffusion is not here:
#: it is what a radiologist reads as the diffusion image.
COMPUTED = frozenset(
    {"ADC", "EADC", "FA", "FRACTIONAL_ANISO", "CBF", "CBV", "MTT", "TTP", "TMAX", "RCBF", "RCBV", "PBP", "T1 MAP"}
    | {"T2 MAP", "T2* MAP", "PHASE MAP", "MIP", "MAX_IP", "MINIP", "MIN_IP", "MNIP", "PROJECTION IMAGE", "MAXIMUM"}
    | {"MINIMUM", "STD_DEVIATION", "T_TEST", "Z_SCORE", "VOLUME_RENDER", "SURFACE_RENDER", "VRT", "SSD", "SCREEN SAVE"}
)


def image_type(header: Header) -> tuple[str, ...]:
    """The values of Image Type (0008,0008), upper case and trimmed; empty when absent."""
    value = header.get("ImageType")
    values = value if isinstance(value, MultiValue | tuple) else () if value is None else (value,)
    return tuple(str(item).strip().upper() for item in values)


def modality(header: Header) -> str:
    """Modality (0008,0060), or what text stands there; empty when absent."""
    return str(header.get("Modality") or "")


def is_image(header: Header) -> bool:
    """Whether the SOP class is one of the standard's image storage classes, by its registered name (PS3.6 A).

    The name tells pictures from everything that merely has pixels: segmentations, parametric maps, dose grids.
    """
    return "Image Storage" in _sop_class(header).name


def _sop_class(header: Header) -> UID:
    """The SOP Class UID as it stands there, valid or not."""
    return _any_uid(str(header.get("SOPClassUID") or ""))


@lru_cache(maxsize=256)
def _any_uid(text: str) -> UID:
    """A study has few classes and many images."""
    return UID(text, validation_mode=config.IGNORE)


def is_secondary_capture(header: Header) -> bool:
    """Whether the SOP class is Secondary Capture or one of its multi-frame forms."""
    sop_class_uid = _sop_class(header)
    return sop_class_uid == SECONDARY_CAPTURE or sop_class_uid.startswith(f"{SECONDARY_CAPTURE}.")


def _is_own(header: Header) -> bool:
    maker = Maker(*(str(header.get(keyword) or "").strip() for keyword in ("Manufacturer", "ManufacturerModelName")))
    return is_own(str(header.get("SOPInstanceUID") or ""), maker)


def _is_localizer(header: Header) -> bool:
    return not LOCALIZERS.isdisjoint(image_type(header)[2:])


def _is_computed(header: Header) -> bool:
    technique = str(header.get("VolumeBasedCalculationTechnique") or "")
    return not COMPUTED.isdisjoint((*image_type(header)[2:], technique))


def _is_for_processing(header: Header) -> bool:
    return str(header.get("PresentationIntentType") or "").strip().upper() == "FOR PROCESSING"


#: What leaves an image out for itself alone, first match counts.
RULES: tuple[tuple[Callable[[Header], bool], str], ...] = (
    (_is_localizer, "is a localizer, made to plan other images"),
    (_is_computed, "is a computed map or projection, not an acquired image"),
    (_is_for_processing, "is raw detector data (Presentation Intent Type FOR PROCESSING), not made for reading"),
)


def _reason_for_itself(header: Header, analyse_secondary_captures: bool) -> str | None:
    sop_class_uid = _sop_class(header)
    if _is_own(header):
        return "is a result of this node"
    if not is_image(header):
        return f"is not an image ({sop_class_uid.name})"
    if sop_class_uid in NO_STACK:
        return NO_STACK[sop_class_uid]
    if is_secondary_capture(header):
        return None if analyse_secondary_captures else "is a secondary capture, which the configuration leaves out"
    return next((reason for applies, reason in RULES if applies(header)), None)


def _is_derived_secondary(header: Header) -> bool:
    return image_type(header)[:2] == ("DERIVED", "SECONDARY") and not is_secondary_capture(header)


def reasons_to_leave_out(headers: Sequence[Header], analyse_secondary_captures: bool) -> tuple[str | None, ...]:
    r"""Why each instance of one study is not analysed, or None where it is; in the order of `headers`.

    Image Type DERIVED alone says little: lossy compression makes it so (PS3.3 C.7.6.1.1.5), and so do many detectors.
    DERIVED\SECONDARY are reformats and post-processed copies (PS3.3 C.7.6.1.1.2). Beside the images they were made
    from they would have the same findings reported twice, so they are left out there; where a study holds no other
    images of their modality, they are what a radiologist would read, and are analysed.
    """
    reasons = [_reason_for_itself(header, analyse_secondary_captures) for header in headers]
    with_sources = {
        modality(header)
        for header, reason in zip(headers, reasons, strict=True)
        if reason is None and not _is_derived_secondary(header)
    }
    return tuple(
        "is derived from other images of this study (Image Type DERIVED\\SECONDARY)"
        if reason is None and _is_derived_secondary(header) and modality(header) in with_sources
        else reason
        for header, reason in zip(headers, reasons, strict=True)
    )


def _patient(header: Header) -> tuple[str, str, str]:
    """What tells one patient from another: Patient ID with its issuer, or the name where there is no ID."""
    patient_id = str(header.get("PatientID") or "").strip()
    if patient_id:
        return patient_id, str(header.get("IssuerOfPatientID") or "").strip(), ""
    return "", "", str(header.get("PatientName") or "").strip()


def belong_to_study_patient(headers: Sequence[Header]) -> tuple[bool, ...]:
    """Whether each instance is of the patient to whom more than half of the study's images belong.

    With several patients and no such majority nobody can say whose study this is: all are False.
    A study without images holds no question; all are True.
    """
    patients = Counter(_patient(header) for header in headers if is_image(header))
    if not patients:
        return (True,) * len(headers)
    [(patient, count)] = patients.most_common(1)
    if 2 * count <= patients.total():
        return (False,) * len(headers)
    return tuple(_patient(header) == patient for header in headers)
