"""Which objects no copy is made of, since pixels or text that nobody can clean by rule may show who the patient is."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import uid
from pydicom.dataset import Dataset

from dicom_node.domain.study import InstanceKind
from dicom_node.intake import classify_object

LABELMAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage (PS3.4 B.5)
#: What a modality draws into the picture itself, or a screen shows: often a name.
_ANNOTATED_CLASSES = frozenset(
    {
        uid.UltrasoundImageStorage,
        uid.UltrasoundMultiFrameImageStorage,
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image Storage (retired)
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image Storage (retired)
        uid.EnhancedUSVolumeStorage,
    }
)
_ANNOTATED_MODALITIES = frozenset({"US", "IVUS", "OT", "DOC", "SC"})
#: Values of Image Type, or beginnings of them, of pictures of a screen in the class of the images beside them.
_SCREENS = ("SCREEN", "DOSE", "CAPTURE", "REPORT", "FILM", "PASTED")
#: Results of this node with neither text that people wrote nor a picture of a screen.
_CLEAN_RESULTS = frozenset({uid.SegmentationStorage, LABELMAP_SEGMENTATION})


@dataclass(frozen=True, slots=True)
class CopyRules:
    """What the configuration asks for."""

    #: Values of Modality (0008,0060); None: all.
    modalities: frozenset[str] | None = None
    #: Pictures that have, or may have, somebody's name drawn into them.
    annotated: bool = False


def reason_to_leave_out(header: Dataset, rules: CopyRules) -> str | None:
    """Why an object is not copied; None where it is. Says nothing of its values."""
    sop_class_uid = str(header.get("SOPClassUID") or "")
    if sop_class_uid in _CLEAN_RESULTS:
        return None
    if classify_object(sop_class_uid, is_own=False) is not InstanceKind.IMAGE:
        return "is no image and no segmentation; its text cannot be cleaned by rule"
    modality = _text(header, "Modality")
    if rules.modalities is not None and modality not in rules.modalities:
        return "is of a modality that research.modalities does not name"
    return None if rules.annotated else _annotated(header, sop_class_uid, modality)


def _annotated(header: Dataset, sop_class_uid: str, modality: str) -> str | None:
    if _text(header, "BurnedInAnnotation") == "YES":
        return "has burned-in annotation (0028,0301)"
    if _text(header, "RecognizableVisualFeatures") == "YES":
        return "shows a recognizable face or body (0028,0302)"
    capture = uid.SecondaryCaptureImageStorage
    if sop_class_uid == capture or sop_class_uid.startswith(f"{capture}.") or header.get("ConversionType"):
        return "is a secondary capture, which often has text in the picture"
    if sop_class_uid in _ANNOTATED_CLASSES or modality in _ANNOTATED_MODALITIES:
        return "is of a kind that often has text in the picture (ultrasound, other)"
    image_type = header.get("ImageType") or ()
    values = [image_type] if isinstance(image_type, str) else image_type
    if any(str(value).strip().upper().startswith(_SCREENS) for value in values):
        return "is the picture of a screen (0008,0008)"
    return None


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip().upper()
