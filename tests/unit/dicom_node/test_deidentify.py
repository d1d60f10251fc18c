"""A research copy says of nobody who he is, keeps what an image needs, and nothing of its pixels is touched."""

import io
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.tag import Tag

from dicom_node.domain.research import ResearchOption
from dicom_node.research.deidentify import Deidentification, deidentify, patient_of, shifted
from dicom_node.research.profile import Action, action_for
from dicom_node.research.pseudonyms import Pseudonyms
from sr_writer.provenance import is_own_uid
from tests.builders.datasets import enhanced_mr, radiograph, uid
from tests.builders.identified import NAMES, NUMBERS, PLACES, content_of, identified_mr, item, read
from tests.builders.validators import dciodvfy_errors

KEY, OTHER_KEY = bytes(range(7, 250, 7)), bytes(range(5, 250, 7))
EVERY_OPTION = frozenset(ResearchOption)
SECRETS = (*NAMES, *NUMBERS, *PLACES, "PID", "OTHER-100")
ENCODINGS = ("utf-8", "latin-1", "iso2022_jp", "utf-16-le")


def copied(dataset, *, key=KEY, options=frozenset()):
    """The research copy of a data set, as it comes out of its file."""
    deidentify(dataset, Deidentification(Pseudonyms(key), frozenset(options), "node 1"))
    return read(dataset)


def leaks(copy):
    """Which of the invented patient's values are in the copy's bytes."""
    content = content_of(copy)
    written = {text: {text.encode(each, errors="ignore") for each in ENCODINGS} - {b""} for text in SECRETS}
    return [text for text, forms in written.items() if any(form in content for form in forms)]


@pytest.mark.parametrize("options", [frozenset(), EVERY_OPTION], ids=["basic profile", "every option"])
def test_nothing_of_the_patient_is_left(options):
    """On no level, in no character set, in no private, repeating or thumbnail attribute."""
    assert leaks(identified_mr())
    copy = copied(identified_mr(), options=options)
    assert leaks(copy) == []
    assert not [element for element in copy.iterall() if element.tag.is_private or 0x5000 <= element.tag.group < 0x7FE0]


def test_original_uids_are_nowhere():
    """Those of the study, of the instance, of what it refers to, of the frame of reference, of the device."""
    original = identified_mr()
    uids = {str(e.value) for e in original.iterall() if e.VR == "UI" and not str(e.value).startswith("1.2.840.10008.")}
    assert len(uids) >= 6
    content = content_of(copied(identified_mr()))
    assert [each for each in uids if each.encode() in content] == []


def test_what_an_image_needs_stays():
    """Geometry, pixels byte for byte, SOP class, transfer syntax; and the references fit each other."""
    original, copy = identified_mr(), copied(identified_mr())
    for keyword in ("PixelData", "SOPClassUID", "Rows", "PixelSpacing", "ImagePositionPatient", "Modality", "EchoTime"):
        assert copy[keyword].value == original[keyword].value
    assert copy.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
    assert copy.ReferencedImageSequence[0].ReferencedSOPInstanceUID == Pseudonyms(KEY).uid(uid("identified", "other"))
    assert is_own_uid(copy.SOPInstanceUID)


def test_it_says_what_was_done():
    """The flags, and the code of the profile and of each option (CID 7050)."""
    copy = copied(identified_mr())
    assert (copy.PatientIdentityRemoved, copy.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert [item.CodeValue for item in copy.DeidentificationMethodCodeSequence] == ["113100"]
    assert all(len(text) <= 64 for text in copy.DeidentificationMethod)
    copy = copied(identified_mr(), options=EVERY_OPTION)
    assert copy.LongitudinalTemporalInformationModified == "MODIFIED"
    stated = [item.CodeValue for item in copy.DeidentificationMethodCodeSequence]
    assert stated == ["113100", "113107", "113108", "113109", "113105"]


def test_the_same_patient_has_the_same_pseudonym():
    """In every object under one key; under another key, or of another issuer, another one. Cases of an ID differ."""
    first, second = (
        copied(identified_mr()),
        copied(identified_mr(SOPInstanceUID="1.2.3.4", PatientName="Married^Erika")),
    )
    assert first.PatientID == second.PatientID == str(first.PatientName)
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    others = (
        copied(identified_mr(), key=OTHER_KEY),
        copied(identified_mr(IssuerOfPatientID="OTHER")),
        copied(identified_mr(PatientID="pid-4711")),
        copied(identified_mr(PatientID="")),
    )
    assert len({first.PatientID, *(other.PatientID for other in others)}) == 5
    assert others[0].StudyInstanceUID != first.StudyInstanceUID
    assert others[0].AccessionNumber != first.AccessionNumber


def test_without_an_id_a_patient_is_known_by_the_study_alone():
    """Two nameless patients of two studies are two."""
    first, second = (patient_of(item(PatientID="  ", StudyInstanceUID=study)) for study in ("1.2", "1.3"))
    assert first != second


def test_dates_are_moved_by_days_of_the_patient():
    """All by as many, so that what lies between them stays; the birth date goes all the same."""
    copy = copied(identified_mr(), options={ResearchOption.MODIFIED_DATES})
    days = Pseudonyms(KEY).days_back(patient_of(identified_mr()))
    assert 365 <= days <= 3650
    assert copy.StudyDate == copy.SeriesDate == shifted("20240305", days) != "20240305"
    assert copy.AcquisitionDateTime == f"{copy.StudyDate}101112.5+0100"
    assert copy.DateOfSecondaryCapture == shifted("20231224", days)
    assert copy.StudyTime == "101112"
    assert copy.PatientBirthDate == ""
    assert copied(identified_mr()).StudyDate == ""


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("20240301", "20240229"),
        ("2024.03.01", "20240229"),
        ("20240101120000.1+0100", "20231231120000.1+0100"),
        ("00010101", ""),
        ("2024", ""),
        ("20241341", ""),
        ("yesterday", ""),
    ],
)
def test_a_day_earlier(text, earlier):
    """Leap years count; what is no date is empty."""
    assert shifted(text, 1) == earlier


def test_options_keep_what_they_name():
    """And nothing of it stays without them; who is above 89 is 90; a description with a name in it goes."""
    original = identified_mr(PatientAge="093Y")
    copy = copied(identified_mr(PatientAge="093Y"), options=EVERY_OPTION)
    assert (copy.PatientAge, copy.PatientSex) == ("090Y", "F")
    assert (copy.StationName, copy.DeviceSerialNumber) == (original.StationName, original.DeviceSerialNumber)
    assert (copy.SeriesDescription, copy.StudyDescription) == ("t2 flair ax", "")
    bare = copied(identified_mr())
    assert (bare.PatientSex, bare.get("PatientAge"), bare.get("SeriesDescription")) == ("", None, None)
    assert "SN-123456" not in str(bare)


#: VR -> a value of it that says who somebody is. The attributes are in no table of identifying ones, or in it.
VALUES = {
    "AE": "MUSTER", "AS": "062Y", "CS": "MUSTER", "DA": "19610412", "DS": "4711", "DT": "19610412101112",
    "FD": 4711.0, "FL": 4711.0, "IS": "4711", "LO": "Muster", "LT": "Muster", "OB": b"Muster", "OD": b"Muster!!",
    "OF": b"Muster!!", "OL": b"Muster!!", "OV": b"Muster!!", "OW": b"Muster", "PN": "Muster^Erika", "SH": "Muster",
    "SL": 4711, "SS": 4711, "ST": "Muster", "SV": 4711, "TM": "101112", "UC": "Muster", "UI": "1.2.3.4711",
    "UL": 4711, "UN": b"Muster", "UR": "http://muster.example", "US": 4711, "UT": "Muster", "UV": 4711,
}  # fmt: skip


@pytest.mark.parametrize("vr", sorted(VALUES))
def test_of_no_vr_stays_a_private_or_an_unknown_attribute(vr):
    """Nobody knows what it says."""
    dataset = identified_mr()
    nested = item(CodeMeaning="x")
    for target in (dataset, nested):
        target.add_new(0x00111001, vr, VALUES[vr])
        target.add_new(0x00180003, vr, VALUES[vr])  # no such attribute
    dataset.AnatomicRegionSequence = [nested]
    copy = copied(read(dataset))
    assert Tag(0x00111001) not in copy
    assert Tag(0x00180003) not in copy
    assert [element.keyword for element in copy.AnatomicRegionSequence[0]] == ["CodeMeaning"]


@pytest.mark.parametrize(
    ("keyword", "value", "left"),
    [
        ("PersonName", "Muster^Erika", "REMOVED"),
        ("NamesOfIntendedRecipientsOfResults", ["Muster^Erika", "A^B"], None),
        ("OtherPatientIDs", ["a", "b"], None),
        ("PatientAddress", "Hauptstrasse 1", None),
        ("EthnicGroup", "x", None),
        ("AdditionalPatientHistory", "Muster", None),
        ("StudyID", "4711", ""),
        ("ReferringPhysicianName", "Muster", ""),
        ("InstitutionName", "Klinikum", "REMOVED"),
        ("ProtocolName", "Muster", "REMOVED"),
        ("IrradiationEventUID", ["1.2.3", "1.2.4"], [Pseudonyms(KEY).uid("1.2.3"), Pseudonyms(KEY).uid("1.2.4")]),
        ("RetrieveURL", "http://muster.example", None),
        ("RetrieveAETitle", "MUSTER", None),
        ("AcquisitionContextSequence", [item(TextValue="Muster")], []),
        ("OriginalAttributesSequence", [item(ReasonForTheAttributeModification="CORRECT")], None),
        ("FillerOrderNumberProcedure", "x", ""),
        ("CodingSchemeUID", "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.96"),
        ("ReferencedSOPClassUID", "1.3.12.2.1107.5.9.1", "1.3.12.2.1107.5.9.1"),
        ("Manufacturer", "Builder", "Builder"),
        ("TimezoneOffsetFromUTC", "+0100", None),
    ],
)
def test_the_table_holds_on_every_level(keyword, value, left):
    """At the top of the data set and two sequences below: removed (None), emptied, replaced, or kept."""
    dataset = identified_mr()
    inner = item(**{keyword: value})
    dataset.AnatomicRegionSequence = [item(AnatomicRegionModifierSequence=[inner])]
    if keyword not in ("ReferringPhysicianName", "StudyID"):
        setattr(dataset, keyword, value)
    copy = copied(read(dataset))
    for level in (copy.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0], copy):
        found = level.get(keyword)
        assert (found if found is None or isinstance(left, list) else str(found)) == left


SEQUENCES = ["AnatomicRegionSequence", "RequestAttributesSequence", "SourceImageSequence"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.lists(st.sampled_from(SEQUENCES), max_size=3),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\\^=", categories=("L",)), min_size=4, max_size=20),
    keyword=st.sampled_from(
        [
            "PatientName",
            "OperatorsName",
            "PatientComments",
            "PatientAddress",
            "PersonName",
            "OtherPatientNames",
            "InstitutionalDepartmentName",
            "TextComments",
            "RequestingPhysician",
            "PatientBirthName",
            "PatientID",
        ]
    ),
)
def test_a_name_is_nowhere_wherever_it_stood(path, name, keyword):
    """Whatever alphabet it is in, and however deep."""
    dataset = identified_mr(SpecificCharacterSet="ISO_IR 192", PatientName="A^B")
    inner = dataset
    for sequence in path:
        nested = Dataset()
        setattr(inner, sequence, [nested])
        inner = nested
    setattr(inner, keyword, f"Q{name}Q")
    assert f"Q{name}Q".encode() not in content_of(copied(read(dataset), options=EVERY_OPTION))


def test_a_uid_or_name_of_another_vr_than_the_dictionary_says_goes_too():
    """A data set may lie about a VR; what it calls text is treated as text."""
    dataset = identified_mr()
    dataset.add(DataElement(0x00280010, "LT", "Muster"))
    assert "Rows" not in copied(read(dataset))


def test_actions_are_those_of_the_standard():
    """Spot checks of Table E.1-1, and that an option is what makes the difference."""
    expected = {
        (0x00100010, "PN"): Action.PATIENT,
        (0x00100030, "DA"): Action.EMPTY,
        (0x00080080, "LO"): Action.DUMMY,
        (0x00081140, "SQ"): Action.ITEMS,
        (0x0020000D, "UI"): Action.UID,
        (0x00880200, "SQ"): Action.REMOVE,
        (0x04000561, "SQ"): Action.REMOVE,
        (0x7FE00010, "OW"): Action.KEEP,
        (0x00080020, "DA"): Action.EMPTY,
    }
    assert {key: action_for(Tag(key[0]), key[1], frozenset()) for key in expected} == expected
    assert action_for(Tag(0x00080020), "DA", {ResearchOption.MODIFIED_DATES}) is Action.SHIFT


@pytest.mark.parametrize(
    ("options", "make"),
    list(itertools.product([frozenset(), EVERY_OPTION], [identified_mr, enhanced_mr, radiograph])),
)
def test_dciodvfy_finds_no_new_error(tmp_path, options, make):
    """A copy keeps to its IOD where the original does."""
    pixels = {} if make is identified_mr else {"pixels": [[[1] * 8] * 8] * 2 if make is enhanced_mr else [[1] * 8] * 8}
    shape = {} if make is identified_mr else {"shape": (2, 8, 8) if make is enhanced_mr else (8, 8)}
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    before.write_bytes(content_of(read(make(**shape, **pixels))))
    after.write_bytes(content_of(copied(dcmread(io.BytesIO(before.read_bytes())), options=options)))
    assert set(dciodvfy_errors(after)) - set(dciodvfy_errors(before)) == set()
