"""Who made a result, from what and when: UIDs, equipment, times; the same inputs make the same UIDs, always.

UIDs are UUID-derived ones (2.25., PS3.5 B.2) of RFC 9562 version 8, whose first 48 bits are a constant of this
project: no registration is needed, and `is_own_uid` recognises what this node made, wherever it comes from.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.findings import Algorithm, Analysis
from sr_writer import codes
from sr_writer.inheritance import inherit_patient_and_study, repairs_of

#: Timezone Offset From UTC (C.12.1.1.8).
_OFFSET = re.compile(r"[+-]\d{4}")
_OWN_UIDS = 0x_D1C0_A11D_E001
_VERSION_AND_VARIANT_MASK = (0xF << 76) | (0x3 << 62)
_VERSION_8 = (0x8 << 76) | (0x2 << 62)


def derived_uid(*sources: str) -> str:
    """The UID of this project for `sources`; other sources, another UID (74 bits of SHA-256)."""
    digest = hashlib.sha256("\0".join(sources).encode()).digest()
    number = (_OWN_UIDS << 80) | int.from_bytes(digest[:10])
    return f"2.25.{number & ~_VERSION_AND_VARIANT_MASK | _VERSION_8}"


def is_own_uid(uid: str) -> bool:
    """Whether `derived_uid` made it."""
    root, _, number = uid.rpartition(".")
    return root == "2.25" and number.isascii() and number.isdigit() and int(number) >> 80 == _OWN_UIDS


IMPLEMENTATION_CLASS_UID = derived_uid("implementation class")
IMPLEMENTATION_VERSION_NAME = "DICOM_AI_NODE"


@dataclass(frozen=True, slots=True)
class Equipment:
    """The node itself, the Evidence Creator: General Equipment (PS3.3 C.7.5.1) of every result."""

    manufacturer: str
    model_name: str
    software_versions: str
    device_serial_number: str
    ae_title: str


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The report that an earlier job of the same study made, and what is different now."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    #: Sentences for a reader; empty where nothing that a reader would see has changed.
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """What every object of one analysis shares."""

    #: The image that names patient and study.
    subject: Dataset
    #: SOP Instance UID -> header of every image of the study.
    sources: Mapping[str, Dataset]
    equipment: Equipment
    #: Start of the analysis, in the time zone of the study where the study states one.
    when: datetime.datetime
    algorithms: tuple[Algorithm, ...]
    #: sha256 over all that makes this analysis another one.
    fingerprint: str
    #: What of patient and study could not be carried as the images state it, a phrase each.
    repairs: tuple[str, ...] = ()

    def uid(self, *role: str) -> str:
        """The UID of one part of this analysis."""
        return derived_uid(self.fingerprint, *role)


def provenance_of(
    analysis: Analysis, sources: Mapping[str, Dataset], equipment: Equipment, when: datetime.datetime
) -> Provenance:
    """Gather what the objects share. Raises ValueError without any source: no patient, no study, no result."""
    if not sources:
        raise ValueError("no source header was given; a result needs one image of the study that names the patient")
    analysed = (frame.sop_instance_uid for each in analysis.volumes for frame in each.volume.frames)
    subject = sources[next(analysed, next(iter(sources)))]
    return Provenance(
        subject=subject,
        sources=sources,
        equipment=equipment,
        when=_in_study_time(when, subject),
        algorithms=analysis.algorithms,
        fingerprint=_fingerprint(analysis, equipment, subject),
        repairs=repairs_of(subject),
    )


def named(algorithm: Algorithm) -> Algorithm:
    """The algorithm with names that fit LO, so that SR, SEG and Contributing Equipment carry equal strings."""
    return replace(
        algorithm,
        name=long_string(algorithm.name),
        version=long_string(algorithm.version),
        manufacturer=long_string(algorithm.manufacturer),
    )


def long_string(text: str) -> str:
    """Text as an LO value: 64 characters, no backslash (PS3.5 Table 6.2-1)."""
    return text.replace("\\", "/")[:64]


def device_uid(algorithm: Algorithm) -> str:
    """Device UID of a model: another one after any change of card, weights or parameters (IHE AIR 6.5.3.1)."""
    return derived_uid("device", algorithm.digest, *(f"{name}={value}" for name, value in algorithm.parameters))


def sign(result: Dataset, provenance: Provenance, series_description: str) -> None:
    """Replace what highdicom wrote about patient, equipment, times and file by what is true of this node."""
    equipment = provenance.equipment
    result.SpecificCharacterSet = "ISO_IR 192"
    inherit_patient_and_study(result, provenance.subject)
    result.SeriesDescription = long_string(series_description)
    result.Manufacturer = long_string(equipment.manufacturer)
    result.ManufacturerModelName = long_string(equipment.model_name)
    result.SoftwareVersions = long_string(equipment.software_versions)
    result.DeviceSerialNumber = long_string(equipment.device_serial_number)
    result.StationName = equipment.ae_title
    result.ContentQualification = "RESEARCH"
    result.ContributingEquipmentSequence = [
        _contributing_equipment(named(algorithm), provenance.when) for algorithm in provenance.algorithms
    ]
    if not provenance.algorithms:
        del result.ContributingEquipmentSequence
    _date(result, provenance)
    result.file_meta = _file_meta(result)


def _date(result: Dataset, provenance: Provenance) -> None:
    """All times of the result are the start of the analysis (IHE AIR 6.5.3.1)."""
    date, time = provenance.when.strftime("%Y%m%d"), provenance.when.strftime("%H%M%S.%f")
    kinds = ["InstanceCreation", "Content", "Series"]
    if "PresentationCreationDate" in result:
        kinds = ["InstanceCreation", "PresentationCreation", "Series"]
    for kind in kinds:
        setattr(result, f"{kind}Date", date)
        setattr(result, f"{kind}Time", time)
    stated = str(provenance.subject.get("TimezoneOffsetFromUTC") or "")
    if _OFFSET.fullmatch(stated):
        result.TimezoneOffsetFromUTC = stated


def _in_study_time(when: datetime.datetime, subject: Dataset) -> datetime.datetime:
    """`when` in the zone of Timezone Offset From UTC (0008,0201), or unchanged where the study states none."""
    try:
        stated = str(subject.get("TimezoneOffsetFromUTC") or "")
        if not _OFFSET.fullmatch(stated):
            return when
        zone = datetime.datetime.strptime(stated, "%z").tzinfo
    except ValueError:
        return when
    return when.astimezone(zone)


def _contributing_equipment(algorithm: Algorithm, when: datetime.datetime) -> Dataset:
    """One algorithm as Processing Equipment (IHE AIR 6.5.3.1)."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [codes.item(codes.PROCESSING_EQUIPMENT)]
    item.Manufacturer = algorithm.manufacturer
    item.ManufacturerModelName = algorithm.name
    item.SoftwareVersions = algorithm.version
    item.DeviceUID = device_uid(algorithm)
    item.ContributionDateTime = when.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = f"Model package sha256 {algorithm.digest}"
    return item


def _file_meta(result: Dataset) -> FileMetaDataset:
    """File Meta Information of our own implementation (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _fingerprint(analysis: Analysis, equipment: Equipment, subject: Dataset) -> str:
    """sha256 over inputs, patient and study, models, node and what the stages answered.

    A stage that failed once and works at the next attempt makes another report. Scores and voxels do not count:
    their last bits may differ between runs on a GPU, and a repeated send must stay a no-op.
    """
    return hashlib.sha256("\0".join(_distinctions(analysis, equipment, subject)).encode()).hexdigest()


def _distinctions(analysis: Analysis, equipment: Equipment, subject: Dataset) -> Iterator[str]:
    yield from (analysis.study_instance_uid, *astuple(equipment))
    inherited = Dataset()
    inherit_patient_and_study(inherited, subject)
    yield hashlib.sha256(inherited.to_json(suppress_invalid_tags=True).encode()).hexdigest()
    for exclusion in analysis.exclusions:
        yield from map(str, astuple(exclusion))
    for each in analysis.volumes:
        yield from (f"{frame.sop_instance_uid}/{frame.frame_number}" for frame in each.volume.frames)
        yield from (flag.defect for flag in each.quality)
        for run in each.runs:
            yield from ("", "") if run.header is None else (run.header.agreement, run.header.stated)
            yield from (run.stage, run.task, run.outcome, run.reason)
            yield "" if run.algorithm is None else device_uid(run.algorithm)
            yield "" if run.classification is None else run.classification.label
            yield from (segment.label for segment in run.segments)
            yield from (region.label for region in run.regions)
