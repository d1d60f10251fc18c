"""The audit message schema of PS3.15 A.5.1.1, as what each element may hold in which order; and a syslog collector."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from dicom_node.domain.audit import Collector
from dicom_node.domain.delivery import TlsFiles
from dicom_node.tls import server_context
from tests.builders.network import HOST, PATIENCE_S, free_port

_TOKEN = r"\S(.*\S)?"
_BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_CODED = {"csd-code": _TOKEN, "codeSystemName": _TOKEN, "originalText": _TOKEN, "displayName?": _TOKEN}
_DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
#: Element -> its attributes (`?`: optional), its children in order as a regular expression, and its text.
SCHEMA: dict[str, tuple[dict[str, str], str, str]] = {
    "AuditMessage": (
        {},
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification (ParticipantObjectIdentification )*",
        "",
    ),
    "EventIdentification": (
        {"EventActionCode?": "[CRUDE]", "EventDateTime": _DATE_TIME, "EventOutcomeIndicator": "0|4|8|12"},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        "",
    ),
    "EventID": (_CODED, "", ""),
    "EventTypeCode": (_CODED, "", ""),
    "EventOutcomeDescription": ({}, "", "(?s).*"),
    "ActiveParticipant": (
        {
            "UserID": ".*",
            "AlternativeUserID?": ".*",
            "UserName?": ".*",
            "UserIsRequestor": "true|false",
            "NetworkAccessPointID?": _TOKEN,
            "NetworkAccessPointTypeCode?": "[1-5]",
        },
        "(RoleIDCode )*(MediaIdentifier )?",
        "",
    ),
    "RoleIDCode": (_CODED, "", ""),
    "AuditSourceIdentification": (
        {"AuditEnterpriseSiteID?": _TOKEN, "AuditSourceID": _TOKEN},
        "(AuditSourceTypeCode )*",
        "",
    ),
    "AuditSourceTypeCode": ({"csd-code": _TOKEN, "codeSystemName?": _TOKEN, "originalText?": _TOKEN}, "", ""),
    "ParticipantObjectIdentification": (
        {
            "ParticipantObjectID": _TOKEN,
            "ParticipantObjectTypeCode?": "[1-4]",
            "ParticipantObjectTypeCodeRole?": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle?": "[1-9]|1[0-5]",
            "ParticipantObjectSensitivity?": _TOKEN,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
        "",
    ),
    "ParticipantObjectIDTypeCode": (_CODED, "", ""),
    "ParticipantObjectName": ({}, "", _TOKEN),
    "ParticipantObjectQuery": ({}, "", _BASE64),
    "ParticipantObjectDetail": ({"type": _TOKEN, "value": _BASE64}, "", ""),
    "ParticipantObjectDescription": (
        {},
        "(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?",
        "",
    ),
    "SOPClass": ({"UID?": r"[0-9.]{1,64}", "NumberOfInstances": r"\d+"}, "(Instance )*", ""),
}


def breaches(xml: str) -> list[str]:
    """What breaks the schema in an audit message; nothing where it is valid."""
    root = ET.fromstring(xml)
    found = [] if root.tag == "AuditMessage" else [f"the root is {root.tag}"]
    for element in root.iter():
        found += _breaches_of(element)
    return found


def _breaches_of(element: ET.Element) -> list[str]:
    if element.tag not in SCHEMA:
        return [f"{element.tag} is unknown"]
    attributes, children, text = SCHEMA[element.tag]
    known = {name.rstrip("?"): pattern for name, pattern in attributes.items()}
    found = [f"{element.tag} lacks {name}" for name in attributes if name[-1] != "?" and name not in element.attrib]
    found += [f"{element.tag} has {name}" for name in element.attrib if name not in known]
    found += [
        f"{name} is {value!r}"
        for name, value in element.attrib.items()
        if name in known and not re.fullmatch(known[name], value)
    ]
    order = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(children, order):
        found.append(f"{element.tag} holds {order!r}")
    if not re.fullmatch(text, element.text or ""):
        found.append(f"{element.tag} says {element.text!r}")
    return found


@dataclass
class CollectorForTests:
    """What a collector has heard: whole syslog messages, in order."""

    address: Collector
    heard: list[str] = field(default_factory=list)
    #: Bytes that were no frame.
    litter: bytes = b""


@contextmanager
def collecting(
    files: TlsFiles, *, port: int | None = None, shown: TlsFiles | None = None
) -> Iterator[CollectorForTests]:
    """A collector by RFC 5425 that shows `files` and wants a certificate; `shown` is what its callers are to show."""
    listening = socket.create_server((HOST, port or free_port()))
    collector = CollectorForTests(Collector(HOST, listening.getsockname()[1], shown or files))
    context = server_context(files, require_peer_certificate=True)
    thread = threading.Thread(target=_serve, args=(listening, context, collector))
    thread.start()
    try:
        yield collector
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
        listening.close()


def _serve(listening: socket.socket, context: ssl.SSLContext, collector: CollectorForTests) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:  # it is over
            return
        with plain:
            plain.settimeout(PATIENCE_S)
            try:
                connection = context.wrap_socket(plain, server_side=True)
            except OSError:  # a caller that has no business here
                continue
            with connection:
                _hear(connection, collector)


def _hear(connection: ssl.SSLSocket, collector: CollectorForTests) -> None:
    received = b""
    while more := connection.recv(1 << 16):
        received += more
    while frame := re.match(rb"([1-9]\d*) ", received):
        end = frame.end() + int(frame[1])
        collector.heard.append(received[frame.end() : end].decode())
        received = received[end:]
    collector.litter += received
    connection.unwrap().close()
