"""Objects that say in every way DICOM has whose they are; all identities are invented."""

from __future__ import annotations

import io

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.sequence import Sequence

from tests.builders.datasets import encoded, mr_series, uid

#: What may be nowhere in a copy, as text.
NAMES = ("Muster", "Erika", "Oberarzt", "Schreiber", "山田", "太郎", "やまだ")
NUMBERS = ("PID-4711", "ACC-0815", "OTHER-99", "19610412", "20240305", "20231224")
PLACES = ("Klinikum Musterstadt", "Hauptstrasse 1", "0123-456789")


def item(**attributes: object) -> Dataset:
    """One item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def identified_mr(**attributes: object) -> Dataset:
    """An MR image that has a patient in its attributes, on three levels, in private and in repeating groups."""
    [dataset] = mr_series((1, 8, 8), pixels=[[[number] * 8 for number in range(8)]], study="identified")
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Muster^Erika=山田^太郎=やまだ^たろう"
    dataset.PatientID, dataset.IssuerOfPatientID, dataset.AccessionNumber = "PID-4711", "KLINIKUM", "ACC-0815"
    dataset.OtherPatientIDs = ["OTHER-99", "OTHER-100"]
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19610412", "F", "062Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240305"
    dataset.AcquisitionDateTime = "20240305101112.5+0100"
    dataset.DateOfSecondaryCapture = "20231224"
    dataset.StudyTime = dataset.ContentTime = "101112"
    dataset.InstitutionName, dataset.InstitutionAddress = "Klinikum Musterstadt", "Hauptstrasse 1"
    dataset.PatientTelephoneNumbers = ["0123-456789", "0123-456780"]
    dataset.ReferringPhysicianName, dataset.OperatorsName = "Oberarzt^Hans", ["Schreiber^Anna", "Schreiber^Emil"]
    dataset.StudyDescription, dataset.SeriesDescription = "Kopf Muster", "t2 flair ax"
    dataset.PatientComments, dataset.ImageComments = "Frau Muster kommt wieder", "siehe PID-4711"
    dataset.StationName, dataset.DeviceSerialNumber = "MRT3", "SN-123456"
    dataset.DeviceUID = uid("device")
    dataset.ReferencedImageSequence = [
        item(ReferencedSOPClassUID=dataset.SOPClassUID, ReferencedSOPInstanceUID=uid("identified", "other"))
    ]
    dataset.RequestAttributesSequence = [
        item(
            RequestedProcedureID="ACC-0815",
            RequestingPhysician="Oberarzt^Hans",
            ReasonForTheRequestedProcedure="Frau Muster",
            ScheduledProtocolCodeSequence=[
                item(
                    CodeValue="1",
                    CodingSchemeDesignator="99X",
                    CodeMeaning="head",
                    ProtocolContextSequence=[item(PersonName="Oberarzt^Hans", TextValue="Muster", UID=uid("deep"))],
                )
            ],
        )
    ]
    dataset.IconImageSequence = [
        item(Rows=1, Columns=12, BitsAllocated=8, PixelRepresentation=0, PixelData=b"Muster^Erika")
    ]
    dataset.add_new(0x60003000, "OW", b"\0\1" * 4)
    dataset.add_new(0x60004000, "LT", "Muster")
    dataset.add_new(0x50003000, "OW", b"\0\1" * 4)
    block = dataset.private_block(0x0029, "MUSTER CSA", create=True)
    block.add_new(0x10, "PN", "Muster^Erika")
    block.add_new(0x11, "UN", b"Muster^Erika")
    block.add_new(0x12, "SQ", Sequence([item(PatientName="Muster^Erika")]))
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return read(dataset)


def read(dataset: Dataset) -> Dataset:
    """The data set as it comes from a file: nothing decoded yet."""
    return dcmread(io.BytesIO(encoded(dataset)))


def content_of(dataset: Dataset) -> bytes:
    """The data set as a file (PS3.10)."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
