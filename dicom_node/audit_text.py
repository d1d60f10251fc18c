"""An audit message as text: XML by the schema of PS3.15 A.5.1, or a JSON object with the same names."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from dicom_node.domain.audit import AuditMessage, Code, Participant, Subject

#: What XML 1.0 cannot carry, even escaped (its section 2.2).
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: AuditSourceTypeCode: application server process.
_APPLICATION_SERVER = "4"


@dataclass(frozen=True, slots=True)
class AuditSource:
    """Who reports (AuditSourceIdentification)."""

    source_id: str
    #: Empty where the site has no name of its own.
    site: str = ""


def as_xml(message: AuditMessage, source: AuditSource) -> str:
    """One line of XML without a line break at its end."""
    root = ET.Element("AuditMessage")
    _event(root, message)
    for participant in message.participants:
        _participant(root, participant)
    named = {"AuditEnterpriseSiteID": source.site} if source.site else {}
    reporter = ET.SubElement(root, "AuditSourceIdentification", {**named, "AuditSourceID": source.source_id})
    ET.SubElement(reporter, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for subject in message.subjects:
        _subject(root, subject)
    for element in root.iter():
        element.attrib = {name: _NO_XML.sub("?", value) for name, value in element.attrib.items()}
        element.text = None if element.text is None else _NO_XML.sub("?", element.text)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode")


def as_json(message: AuditMessage, source: AuditSource) -> str:
    """One line of JSON without a line break at its end; details are plain text, and codes `value, scheme, meaning`."""
    event: dict[str, object] = {
        "EventID": _told(message.event),
        "EventActionCode": message.action,
        "EventDateTime": date_time(message.at),
        "EventOutcomeIndicator": message.outcome,
        "EventTypeCode": [_told(code) for code in message.types],
        "EventOutcomeDescription": message.description,
    }
    told = {
        "EventIdentification": _without_blanks(event),
        "ActiveParticipant": [_participant_dict(each) for each in message.participants],
        "AuditSourceIdentification": _without_blanks(
            {"AuditEnterpriseSiteID": source.site, "AuditSourceID": source.source_id}
        ),
        "ParticipantObjectIdentification": [_subject_dict(each) for each in message.subjects],
    }
    return json.dumps(told, ensure_ascii=False)


def date_time(at: float) -> str:
    """Seconds since the epoch as xsd:dateTime, which RFC 5424 takes as it is, in UTC."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(root: ET.Element, message: AuditMessage) -> None:
    attributes = {
        "EventActionCode": str(message.action),
        "EventDateTime": date_time(message.at),
        "EventOutcomeIndicator": str(message.outcome),
    }
    event = ET.SubElement(root, "EventIdentification", attributes)
    _code(event, "EventID", message.event)
    for code in message.types:
        _code(event, "EventTypeCode", code)
    if message.description:
        ET.SubElement(event, "EventOutcomeDescription").text = message.description


def _participant(root: ET.Element, who: Participant) -> None:
    attributes = {"UserID": who.user_id}
    if who.ae_title:
        attributes["AlternativeUserID"] = f"AETITLES={who.ae_title}"
    attributes["UserIsRequestor"] = str(who.is_requestor).lower()
    if who.network:
        attributes |= {"NetworkAccessPointID": who.network, "NetworkAccessPointTypeCode": _network_type(who.network)}
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    if who.role is not None:
        _code(element, "RoleIDCode", who.role)


def _subject(root: ET.Element, what: Subject) -> None:
    attributes = {
        "ParticipantObjectID": what.subject_id,
        "ParticipantObjectTypeCode": what.type_code,
        "ParticipantObjectTypeCodeRole": what.role,
    }
    element = ET.SubElement(root, "ParticipantObjectIdentification", attributes)
    _code(element, "ParticipantObjectIDTypeCode", what.id_type)
    if what.query:
        ET.SubElement(element, "ParticipantObjectQuery").text = _base64(what.query)
    else:
        ET.SubElement(element, "ParticipantObjectName").text = what.name
    for name, value in (what.details or {}).items():
        pair = {"type": name, "value": _base64(value.encode())}
        ET.SubElement(element, "ParticipantObjectDetail", pair)
    if what.instances:
        description = ET.SubElement(element, "ParticipantObjectDescription")
        for uid, number in what.instances.items():
            ET.SubElement(description, "SOPClass", {**({"UID": uid} if uid else {}), "NumberOfInstances": str(number)})


def _code(parent: ET.Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    ET.SubElement(parent, name, attributes)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _network_type(network: str) -> str:
    """NetworkAccessPointTypeCode: 1 machine name, 2 IP address."""
    try:
        ipaddress.ip_address(network)
    except ValueError:
        return "1"
    return "2"


def _participant_dict(who: Participant) -> dict[str, object]:
    return _without_blanks(
        {
            "UserID": who.user_id,
            "AlternativeUserID": f"AETITLES={who.ae_title}" if who.ae_title else "",
            "UserIsRequestor": who.is_requestor,
            "RoleIDCode": None if who.role is None else _told(who.role),
            "NetworkAccessPointID": who.network,
        }
    )


def _subject_dict(what: Subject) -> dict[str, object]:
    return _without_blanks(
        {
            "ParticipantObjectID": what.subject_id,
            "ParticipantObjectIDTypeCode": _told(what.id_type),
            "ParticipantObjectTypeCode": what.type_code,
            "ParticipantObjectTypeCodeRole": what.role,
            "ParticipantObjectName": what.name,
            "ParticipantObjectQuery": _base64(what.query),
            "ParticipantObjectDetail": dict(what.details or {}),
            "SOPClass": dict(what.instances or {}),
        }
    )


def _told(code: Code) -> str:
    return f"{code.value}, {code.scheme}, {code.meaning}"


def _without_blanks(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}
