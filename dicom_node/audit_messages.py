"""Audit messages of what a node does (PS3.15 A.5.3), from plain facts to records; nothing is read or written here.

AE titles stand for application entities, as UserID and as AlternativeUserID; a person is `login@host` (A.5.2.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicom_node.domain.audit import Action, AuditMessage, Code, Outcome, Participant, Subject
from dicom_node.domain.calls import Call

_APPLICATION_ACTIVITY = Code("110100", "DCM", "Application Activity")
_BEGIN_TRANSFERRING = Code("110102", "DCM", "Begin Transferring DICOM Instances")
_INSTANCES_ACCESSED = Code("110103", "DCM", "DICOM Instances Accessed")
_INSTANCES_TRANSFERRED = Code("110104", "DCM", "DICOM Instances Transferred")
_STUDY_DELETED = Code("110105", "DCM", "DICOM Study Deleted")
_QUERY = Code("110112", "DCM", "Query")
_SECURITY_ALERT = Code("110113", "DCM", "Security Alert")

_APPLICATION_START = Code("110120", "DCM", "Application Start")
_APPLICATION_STOP = Code("110121", "DCM", "Application Stop")
_NODE_AUTHENTICATION = Code("110126", "DCM", "Node Authentication")
_RECORDING_STOPPED = Code("110133", "DCM", "Audit Recording Stopped")
_RECORDING_STARTED = Code("110134", "DCM", "Audit Recording Started")

_APPLICATION = Code("110150", "DCM", "Application")
_DESTINATION = Code("110152", "DCM", "Destination Role ID")
_SOURCE = Code("110153", "DCM", "Source Role ID")

_STUDY_UID = Code("110180", "DCM", "Study Instance UID")
_SOP_CLASS_UID = Code("110181", "DCM", "SOP Class UID")
_NODE_ID = Code("110182", "DCM", "Node ID")
_PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
_URI = Code("12", "RFC-3881", "URI")

_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT, _REPORT, _SECURITY_RESOURCE = "1", "3", "13"
#: The schema demands a name; that of a patient is not for an audit trail.
_NO_NAME = "not recorded"


@dataclass(frozen=True, slots=True)
class Entity:
    """An application entity: its AE title, and where on the network it is."""

    ae_title: str
    network: str = ""


@dataclass(frozen=True, slots=True)
class AuditedStudy:
    """A study as the trail names it. `patient` is what stands for the patient's ID; empty: nothing does."""

    study_instance_uid: str
    patient: str = ""
    #: SOP Class UID -> number of instances; under an empty UID: of whatever class.
    instances: Mapping[str, int] | None = None


def started(node: Entity, *, at: float) -> AuditMessage:
    """The node begins to listen (A.5.3.1)."""
    return _activity(node, _APPLICATION_START, at)


def stopped(node: Entity, *, at: float) -> AuditMessage:
    """The node listens no more (A.5.3.1)."""
    return _activity(node, _APPLICATION_STOP, at)


def received(node: Entity, sender: Entity, study: AuditedStudy, *, known: bool, at: float) -> AuditMessage:
    """Instances of one study came over one association (A.5.3.7); `known`: the node held the same ones before."""
    participants = (_peer(sender, _SOURCE, is_requestor=True), _peer(node, _DESTINATION, is_requestor=False))
    action = Action.READ if known else Action.CREATE
    return AuditMessage(_INSTANCES_TRANSFERRED, action, at, Outcome.SUCCESS, participants, _subjects(study))


def sent(node: Entity, destination: Entity, study: AuditedStudy, *, failure: str, at: float) -> AuditMessage:
    """Instances of one study went over one association, or never will: for `failure`, if not empty (A.5.3.7)."""
    participants = (_peer(node, _SOURCE, is_requestor=True), _peer(destination, _DESTINATION, is_requestor=False))
    outcome = Outcome.SERIOUS_FAILURE if failure else Outcome.SUCCESS
    subjects = _subjects(study)
    return AuditMessage(_INSTANCES_TRANSFERRED, Action.READ, at, outcome, participants, subjects, description=failure)


def to_be_sent(node: Entity, peer: Entity, study: AuditedStudy, *, person: str, at: float) -> AuditMessage:
    """A person has the node send a study's results to a peer once more (A.5.3.3)."""
    participants = (
        _peer(node, _SOURCE, is_requestor=False),
        _peer(peer, _DESTINATION, is_requestor=False),
        Participant(person, is_requestor=True),
    )
    return AuditMessage(_BEGIN_TRANSFERRING, Action.EXECUTE, at, Outcome.SUCCESS, participants, _subjects(study))


def to_be_analysed(node: Entity, study: AuditedStudy, *, person: str, at: float) -> AuditMessage:
    """A person has the node read a study's images once more (A.5.3.6)."""
    participants = (Participant(person, is_requestor=True), _peer(node, None, is_requestor=False))
    return AuditMessage(_INSTANCES_ACCESSED, Action.READ, at, Outcome.SUCCESS, participants, _subjects(study))


def deleted(node: Entity, study: AuditedStudy, *, person: str, at: float) -> AuditMessage:
    """A study is gone from the node (A.5.3.8): by request of a person, or by age or space where `person` is empty."""
    by_node = _peer(node, None, is_requestor=not person)
    participants = (Participant(person, is_requestor=True), by_node) if person else (by_node,)
    return AuditMessage(_STUDY_DELETED, Action.DELETE, at, Outcome.SUCCESS, participants, _subjects(study))


def queried(node: Entity, peer: Entity, sop_class_uid: str, query: tuple[bytes, str], *, at: float) -> AuditMessage:
    """The node asked a peer (A.5.3.10); `query` is the encoded identifier and its Transfer Syntax UID."""
    encoded, syntax = query
    asked = Subject(
        sop_class_uid, _SOP_CLASS_UID, _SYSTEM_OBJECT, _REPORT, query=encoded, details={"TransferSyntax": syntax}
    )
    participants = (_peer(node, _SOURCE, is_requestor=True), _peer(peer, _DESTINATION, is_requestor=False))
    return AuditMessage(_QUERY, Action.EXECUTE, at, Outcome.SUCCESS, participants, (asked,))


def not_let_in(node: Entity, call: Call) -> AuditMessage:
    """An association, or its TLS, was refused (A.5.3.11); calls alike are one message."""
    times = f", {call.count} times" if call.count > 1 else ""
    alert = f"{call.outcome}{times}: {call.reason}"
    subject = Subject(
        call.address, _NODE_ID, _SYSTEM_OBJECT, _SECURITY_RESOURCE, _NO_NAME, details={"Alert Description": alert}
    )
    caller = Participant(
        call.calling_ae_title or call.address,
        is_requestor=False,
        ae_title=call.calling_ae_title,
        network=call.address,
    )
    participants = (_peer(node, None, is_requestor=False), caller)
    return _alert(_NODE_AUTHENTICATION, Outcome.MINOR_FAILURE, participants, subject, call.last_at)


def recording_stopped(node: Entity, trail: str, why: str, *, at: float) -> AuditMessage:
    """From now on messages are lost to `trail`, a URI (A.5.3.11)."""
    return _about_the_trail(node, _RECORDING_STOPPED, trail, why, at)


def recording_started(node: Entity, trail: str, lost: str, *, at: float) -> AuditMessage:
    """Messages are kept again; `lost` says what is missing (A.5.3.11)."""
    return _about_the_trail(node, _RECORDING_STARTED, trail, lost, at)


def _activity(node: Entity, which: Code, at: float) -> AuditMessage:
    participants = (_peer(node, _APPLICATION, is_requestor=False),)
    return AuditMessage(_APPLICATION_ACTIVITY, Action.EXECUTE, at, Outcome.SUCCESS, participants, types=(which,))


def _about_the_trail(node: Entity, which: Code, trail: str, told: str, at: float) -> AuditMessage:
    details = {"Alert Description": told}
    subject = Subject(trail, _URI, _SYSTEM_OBJECT, _SECURITY_RESOURCE, "Security Audit Log", details=details)
    return _alert(which, Outcome.SERIOUS_FAILURE, (_peer(node, None, is_requestor=False),), subject, at)


def _alert(
    which: Code, outcome: Outcome, participants: Sequence[Participant], subject: Subject, at: float
) -> AuditMessage:
    return AuditMessage(_SECURITY_ALERT, Action.EXECUTE, at, outcome, tuple(participants), (subject,), types=(which,))


def _peer(entity: Entity, role: Code | None, *, is_requestor: bool) -> Participant:
    return Participant(entity.ae_title, is_requestor, role, entity.ae_title, entity.network)


def _subjects(study: AuditedStudy) -> tuple[Subject, ...]:
    uid = study.study_instance_uid
    found = Subject(uid, _STUDY_UID, _SYSTEM_OBJECT, _REPORT, "study", instances=study.instances)
    if not study.patient:
        return (found,)
    return (found, Subject(study.patient, _PATIENT_NUMBER, _PERSON, _PATIENT, _NO_NAME))
