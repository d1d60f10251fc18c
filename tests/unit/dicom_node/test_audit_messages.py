"""Audit messages: what they say of each kind of event, as XML by the schema and as JSON."""

import base64
import json
from xml.etree import ElementTree as ET

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicom_node import audit_messages
from dicom_node.audit_messages import AuditedStudy, Entity
from dicom_node.audit_query import told_query
from dicom_node.audit_text import AuditSource, as_json, as_xml
from dicom_node.domain.calls import Call, CallOutcome
from tests.builders.audit import breaches

NODE = Entity("AINODE", "node.example.org")
PACS = Entity("PACS", "192.0.2.10")
SOURCE = AuditSource("AINODE", "site <1>")
MR = "1.2.840.10008.5.1.4.1.1.4"
STUDY = AuditedStudy("1.2.3", "hmac-sha256:ab", {MR: 12})
CALL = Call("STRANGER\x01", "192.0.2.66", "NODE", CallOutcome.REJECTED, "nobody knows <it>", "add it", 90.0, 100.0, 3)
AT = 1764160886.25

MESSAGES = {
    "started": audit_messages.started(NODE, at=AT),
    "stopped": audit_messages.stopped(NODE, at=AT),
    "received": audit_messages.received(NODE, PACS, STUDY, known=False, at=AT),
    "received again": audit_messages.received(NODE, PACS, STUDY, known=True, at=AT),
    "sent": audit_messages.sent(NODE, PACS, STUDY, failure="", at=AT),
    "dead": audit_messages.sent(NODE, PACS, STUDY, failure="refused & gone", at=AT),
    "resend": audit_messages.to_be_sent(NODE, PACS, STUDY, person="alice@node", at=AT),
    "rerun": audit_messages.to_be_analysed(NODE, STUDY, person="alice@node", at=AT),
    "forgotten": audit_messages.deleted(NODE, AuditedStudy("1.2.3", "", {"": 5}), person="alice@node", at=AT),
    "expired": audit_messages.deleted(NODE, AuditedStudy("1.2.3"), person="", at=AT),
    "query": audit_messages.queried(NODE, PACS, "1.2.840.10008.5.1.4.1.2.2.1", (b"\x08\0", "1.2.840.10008.1.2"), at=AT),
    "alert": audit_messages.not_let_in(NODE, CALL),
    "full": audit_messages.recording_stopped(NODE, "syslog://192.0.2.7:6514", "full", at=AT),
    "room": audit_messages.recording_started(NODE, "file:///var/audit.jsonl", "7 are missing", at=AT),
}
#: Message -> EventID, EventActionCode, EventOutcomeIndicator, EventTypeCode, and the number of the table in PS3.15.
EVENTS = {
    "started": ("110100", "E", "0", "110120"),
    "stopped": ("110100", "E", "0", "110121"),
    "received": ("110104", "C", "0", None),
    "received again": ("110104", "R", "0", None),
    "sent": ("110104", "R", "0", None),
    "dead": ("110104", "R", "8", None),
    "resend": ("110102", "E", "0", None),
    "rerun": ("110103", "R", "0", None),
    "forgotten": ("110105", "D", "0", None),
    "expired": ("110105", "D", "0", None),
    "query": ("110112", "E", "0", None),
    "alert": ("110113", "E", "4", "110126"),
    "full": ("110113", "E", "8", "110133"),
    "room": ("110113", "E", "8", "110134"),
}


def xml_of(name):
    """A message, parsed."""
    return ET.fromstring(as_xml(MESSAGES[name], SOURCE))


def roles(root):
    """UserID -> role, and whether it is the requestor."""
    found = {}
    for who in root.iter("ActiveParticipant"):
        role = who.find("RoleIDCode")
        found[who.get("UserID")] = (None if role is None else role.get("csd-code"), who.get("UserIsRequestor"))
    return found


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_is_valid_by_the_schema(name):
    """Elements in their order, required attributes, values of the value sets; one line."""
    xml = as_xml(MESSAGES[name], SOURCE)
    assert xml.startswith('<?xml version="1.0" encoding="UTF-8"?><AuditMessage>')
    assert breaches(xml) == []
    assert "\n" not in xml


@pytest.mark.parametrize("name", MESSAGES)
def test_events_carry_the_codes_of_their_table(name):
    """PS3.15 A.5.3; codes of DCM with their meaning as text."""
    event = xml_of(name).find("EventIdentification")
    types = [code.get("csd-code") for code in event.iter("EventTypeCode")]
    code, action, outcome, kind = EVENTS[name]
    assert (event.find("EventID").get("csd-code"), event.find("EventID").get("codeSystemName")) == (code, "DCM")
    assert (event.get("EventActionCode"), event.get("EventOutcomeIndicator")) == (action, outcome)
    assert types == ([] if kind is None else [kind])


def test_a_transfer_names_source_destination_study_and_patient():
    """With AE titles, addresses, SOP classes and their numbers; the patient by what stands for the ID."""
    root = xml_of("received")
    assert roles(root) == {"PACS": ("110153", "true"), "AINODE": ("110152", "false")}
    pacs, node = root.iter("ActiveParticipant")
    assert (pacs.get("AlternativeUserID"), node.get("AlternativeUserID")) == ("AETITLES=PACS", "AETITLES=AINODE")
    assert (pacs.get("NetworkAccessPointID"), pacs.get("NetworkAccessPointTypeCode")) == ("192.0.2.10", "2")
    assert (node.get("NetworkAccessPointID"), node.get("NetworkAccessPointTypeCode")) == ("node.example.org", "1")
    study, patient = root.iter("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "hmac-sha256:ab")
    assert study.find("ParticipantObjectIDTypeCode").get("csd-code") == "110180"
    assert patient.find("ParticipantObjectIDTypeCode").attrib["codeSystemName"] == "RFC-3881"
    [sop_class] = root.iter("SOPClass")
    assert (sop_class.get("UID"), sop_class.get("NumberOfInstances")) == (MR, "12")
    assert root.find("EventIdentification").get("EventDateTime") == "2025-11-26T12:41:26.250Z"


def test_a_person_is_the_one_requestor():
    """Of what was asked for on the command line; without one it is the node."""
    assert roles(xml_of("resend")) == {
        "AINODE": ("110153", "false"), "PACS": ("110152", "false"), "alice@node": (None, "true"),
    }  # fmt: skip
    assert roles(xml_of("rerun"))["alice@node"] == (None, "true")
    assert roles(xml_of("forgotten")) == {"alice@node": (None, "true"), "AINODE": (None, "false")}
    assert roles(xml_of("expired")) == {"AINODE": (None, "true")}


def test_an_alert_describes_itself_and_what_xml_cannot_carry_is_replaced():
    """In base64, as every detail; a control character in an AE title does not break the message."""
    root = xml_of("alert")
    [detail] = root.iter("ParticipantObjectDetail")
    told = base64.b64decode(detail.get("value")).decode()
    assert (detail.get("type"), told) == ("Alert Description", "rejected, 3 times: nobody knows <it>")
    assert "STRANGER?" in roles(root)
    assert root.find("ParticipantObjectIdentification").get("ParticipantObjectID") == "192.0.2.66"


def test_a_query_is_told_as_it_was_sent():
    """The data set and its transfer syntax (A.5.3.10)."""
    [query] = xml_of("query").iter("ParticipantObjectQuery")
    [detail] = xml_of("query").iter("ParticipantObjectDetail")
    assert base64.b64decode(query.text) == b"\x08\0"
    assert detail.get("type") == "TransferSyntax"


@pytest.mark.parametrize("plain", [False, True])
def test_patients_in_a_query_are_told_only_where_they_are_told_plainly(plain):
    """The keys stay, so that one sees what was asked; identifiers and words of the standard stay with their values."""
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID, query.StudyDate = "STUDY", "1.2.3", "20260101-20260131"
    query.PatientID, query.PatientName, query.PatientBirthDate = "B-0001", "Doe*", "19700101"
    query.AccessionNumber, query.NumberOfStudyRelatedInstances = "A-0001", None
    query.RequestAttributesSequence = [Dataset()]
    query.RequestAttributesSequence[0].RequestedProcedureID = "R-0001"
    encoded, syntax = told_query(query, plain=plain)
    told = read_dataset(DicomBytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert syntax == ImplicitVRLittleEndian
    assert list(told.keys()) == sorted(query.keys())
    assert (told.QueryRetrieveLevel, told.StudyInstanceUID, told.StudyDate) == ("STUDY", "1.2.3", "20260101-20260131")
    assert [secret in encoded for secret in (b"B-0001", b"Doe", b"19700101", b"A-0001", b"R-0001")] == [plain] * 5


def test_what_is_not_known_is_left_out():
    """No patient, no number of instances, no site."""
    root = ET.fromstring(as_xml(MESSAGES["expired"], AuditSource("AINODE")))
    assert len(list(root.iter("ParticipantObjectIdentification"))) == 1
    assert list(root.iter("ParticipantObjectDescription")) == []
    assert root.find("AuditSourceIdentification").attrib == {"AuditSourceID": "AINODE"}


@pytest.mark.parametrize("name", MESSAGES)
def test_json_is_one_line_with_the_names_of_the_schema(name):
    """For people and their tools: codes with their meaning, details in plain text."""
    line = as_json(MESSAGES[name], SOURCE)
    assert "\n" not in line
    told = json.loads(line)
    assert set(told) == {
        "EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification",
    }  # fmt: skip
    assert told["EventIdentification"]["EventID"].startswith(EVENTS[name][0])
    if name == "alert":
        [subject] = told["ParticipantObjectIdentification"]
        assert subject["ParticipantObjectDetail"] == {"Alert Description": "rejected, 3 times: nobody knows <it>"}


def test_the_schema_of_these_tests_can_fail():
    """It sees another order, a missing and an unknown attribute, a wrong value and a wrong name."""
    good = as_xml(MESSAGES["received"], SOURCE)
    for old, new in (
        ("EventOutcomeIndicator", "EventOutcome"),
        ('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        ("<ParticipantObjectName>study</ParticipantObjectName>", ""),
        ("csd-code", "code"),
        ("RoleIDCode", "RoleID"),
        ('UserID="PACS"', ""),
    ):
        assert old in good
        assert breaches(good.replace(old, new)) != []
