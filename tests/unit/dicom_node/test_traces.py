"""The check after the work finds each trace of the original, and says of which attribute, never which value."""

import io

import pytest
from pydicom import dcmread

from dicom_node.research.admission import CopyRules, reason_to_leave_out
from dicom_node.research.deidentify import Deidentification, deidentify
from dicom_node.research.descriptors import is_plain
from dicom_node.research.pseudonyms import Pseudonyms
from dicom_node.research.traces import found_in, traces_of
from tests.builders.identified import content_of, identified_mr, item, read

UID = "1.2.826.0.1.3680043.8.498.1"


def found(original, change=lambda copy: None):
    """What the check says of the copy of `original` after a `change`."""
    copy = read(original)
    deidentify(copy, Deidentification(Pseudonyms(bytes(range(7, 250, 7))), frozenset(), "node 1"))
    change(copy)
    content = content_of(copy)
    return found_in(traces_of(read(original)), content, dcmread(io.BytesIO(content)))


def put(keyword, value):
    """Something that the profile should not have let through."""
    return lambda copy: setattr(copy, keyword, value)


def test_a_copy_has_no_trace():
    """Of an object that says in every way whose it is."""
    assert found(identified_mr()) == ()


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        (put("SeriesDescription", "Fr. MUSTER, t2"), "PatientName"),
        (put("SeriesDescription", "太郎"), "PatientName"),
        (put("SeriesDescription", "OBERARZT"), "ReferringPhysicianName"),
        (put("ImageComments", "siehe ACC-0815."), "AccessionNumber"),
        (put("ImageComments", "(OTHER-99)"), "OtherPatientIDs"),
        (put("ImageComments", "seit 19610412"), "PatientBirthDate"),
        (put("ImageComments", "Klinikum Musterstadt"), "InstitutionName"),
        (put("StudyDate", "20240305"), "StudyDate"),
        (put("AcquisitionDateTime", "20240305101112"), "StudyDate"),
        (put("StudyInstanceUID", identified_mr().StudyInstanceUID), "StudyInstanceUID"),
        (put("PixelData", b"\0\0Muster^Erika\0\0" + bytes(112)), "PatientName"),
        (put("PixelData", b"ref=PID-4711;" + bytes(115)), "PatientID"),
        (put("AnatomicRegionSequence", [item(CodeMeaning="Erika")]), "PatientName"),
    ],
)
def test_each_trace_is_found(change, attribute):
    """In texts, dates, UIDs, items, and among the pixels."""
    assert attribute in found(identified_mr(), change)


def test_names_of_private_attributes_count(tmp_path):
    """Who stands there is somebody."""
    original = identified_mr()
    original[0x0029, 0x1010].value = "Anders^Bernd"
    assert found(original, put("SeriesDescription", "anders")) == ("a private attribute",)


def test_a_short_number_is_looked_for_as_a_whole():
    """Patient 4711 must not be found in each picture; but in a text that is nothing else."""
    original = identified_mr(PatientID="47")
    assert found(original, put("PixelData", b"x47x" * 32)) == ()
    assert found(original, put("SeriesDescription", "47")) == ("PatientID",)


def test_a_number_within_a_number_is_another_one():
    """A measure or a new UID may have its digits; a text with punctuation around it may not."""
    original = identified_mr(PatientID="12345")
    assert found(original, put("ImageComments", "0.12345 and 123456 and 1.12345.6")) == ()
    assert found(original, put("ImageComments", "no. 12345.")) == ("PatientID",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"BurnedInAnnotation": "NO"}, None),
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"RecognizableVisualFeatures": "YES"}, "recognizable"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"}, "secondary capture"),
        ({"ConversionType": "WSD"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US"}, "ultrasound"),
        ({"Modality": "OT"}, "kind"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "DOSE_INFO"]}, "screen"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, "no image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "no image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, None),
    ],
)
def test_what_may_show_the_patient_is_left_out(changes, reason):
    """By what the header says; the configuration may ask for annotated pictures, never for reports."""
    header = identified_mr(**changes)
    said = reason_to_leave_out(header, CopyRules())
    assert (said is None) if reason is None else reason in said
    asked = reason_to_leave_out(header, CopyRules(annotated=True))
    assert (asked is None) == (reason != "no image")


def test_other_modalities_are_left_out():
    """Where the configuration names some."""
    assert reason_to_leave_out(identified_mr(), CopyRules(frozenset({"CT"}))) is not None
    assert reason_to_leave_out(identified_mr(), CopyRules(frozenset({"CT", "MR"}))) is None


@pytest.mark.parametrize("text", ["t2 flair ax", "AX T1 +C 3mm", "CT Thorax/Abdomen", "knee sag pd fs 2", ""])
def test_words_of_imaging_are_plain(text):
    """Whatever stands between them."""
    assert is_plain(text)


@pytest.mark.parametrize(
    "text", ["t2 Muster", "12.03.65", "knee 19650312", "Frau M. t1", "t1 山田", "ax 12 34", "brain 4711", "MUELLER_T2"]
)
def test_names_and_numbers_are_not(text):
    """A date, a number that may be an ID, a word that nobody listed."""
    assert not is_plain(text)
