"""What may be repeated of text that others wrote."""

import pytest
from pydicom.dataset import Dataset

from dicom_node.discretion import comment_of, names_patient, shown_uid


@pytest.fixture
def header():
    """Of a patient."""
    header = Dataset()
    header.PatientName, header.PatientID = "Foote^Jane^^Mr=山田^太郎", "PID-7391"
    header.PatientBirthDate, header.AccessionNumber = "19370417", "A-5528"
    header.OtherPatientIDs = ["OLD-0815", "X"]
    return header


@pytest.mark.parametrize(
    "text",
    [
        "no such patient: FOOTE", "Patient Foote, Jane", "id pid-7391 unknown", "born 19370417", "acc=A-5528",
        "OLD-0815", "jane", "JANEFOOTE",
    ],
)  # fmt: skip
def test_names_numbers_and_dates_of_the_patient_are_found(header, text):
    """In capitals, within other words, in pieces."""
    assert names_patient(text, header)


@pytest.mark.parametrize("text", ["", "MR", "KNEE", "FOOT", "disk full", "Cannot understand 0xC000", "status 1937"])
def test_other_words_are_not(header, text):
    """A title is no name, and a shorter word is not the longer one."""
    assert not names_patient(text, header)


def test_a_comment_is_told_unless_it_names_the_patient(header):
    """In one line, whatever it holds."""
    response = Dataset()
    assert comment_of(response, header) == ""
    response.ErrorComment = "disk full\r\n[forged] line"
    assert comment_of(response, header) == " (disk full??[forged] line)"
    response.ErrorComment = "no patient Foote"
    assert comment_of(response, header) == " (its comment names the patient, and is left out)"
    assert comment_of(response) == " (no patient Foote)"


def test_what_is_no_uid_is_not_told_as_one():
    """Whatever a sender calls its instances."""
    assert shown_uid("1.2.3") == "1.2.3"
    assert shown_uid("Foote^Jane") == shown_uid(None) == "an instance without a UID"
