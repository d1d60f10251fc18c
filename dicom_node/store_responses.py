"""The Store Instances Response Module (PS3.18 Annex I) as DICOM JSON (PS3.18 Annex F): read, and made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

_RETRIEVE_URL = "00081190"
_SOP_CLASS_UID = "00081150"
_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_OTHER_FAILURES_SEQUENCE = "0008119A"

_SUCCESS = 0x0000
#: What an instance has failed of when no reason is given.
_PROCESSING_FAILURE = 0x0110
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What became of one part of a request. The UIDs are empty where it could not be read."""

    sop_class_uid: str
    sop_instance_uid: str
    #: 0: it is kept and recorded; otherwise a Failure Reason (PS3.18 I.2.2).
    status: int


def http_status_of(outcomes: Sequence[PartOutcome]) -> int:
    """The HTTP status of a request that came whole (PS3.18 10.5.3.1).

    503 where everything failed for want of room, since it may be sent again; 400 where no part was a DICOM file.
    """
    failures = [outcome for outcome in outcomes if outcome.status]
    if outcomes and not failures:
        return 200
    if len(failures) < len(outcomes):
        return 202
    if failures and all(outcome.status in _OUT_OF_RESOURCES for outcome in failures):
        return 503
    return 409 if any(outcome.sop_instance_uid for outcome in failures) else 400


def body_of(outcomes: Sequence[PartOutcome]) -> bytes:
    """The response body. Retrieve URLs are empty (type 2): nothing can be retrieved from here."""
    stored = [_item(each) | {_RETRIEVE_URL: {"vr": "UR"}} for each in outcomes if not each.status]
    named = [_item(each) | _reason(each) for each in outcomes if each.status and each.sop_instance_uid]
    unnamed = [_reason(each) for each in outcomes if each.status and not each.sop_instance_uid]
    dataset: dict[str, object] = {_RETRIEVE_URL: {"vr": "UR"}}
    for tag, items in (
        (_FAILED_SOP_SEQUENCE, named),
        (_REFERENCED_SOP_SEQUENCE, stored),
        (_OTHER_FAILURES_SEQUENCE, unnamed),
    ):
        if items:
            dataset[tag] = {"vr": "SQ", "Value": items}
    return json.dumps(dataset).encode()


def status_of(body: bytes, sop_instance_uid: str) -> int | None:
    """The status of one instance in a response: 0, its Warning Reason or its Failure Reason; None if it is not there.

    These have the values of C-STORE statuses (PS3.18 I.2). Nothing that a server sends makes this raise.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    dataset = told[0] if isinstance(told, list) and told else told
    for sequence, reason, otherwise in (
        (_FAILED_SOP_SEQUENCE, _FAILURE_REASON, _PROCESSING_FAILURE),
        (_REFERENCED_SOP_SEQUENCE, _WARNING_REASON, _SUCCESS),
    ):
        for item in _values(dataset, sequence):
            if sop_instance_uid in _values(item, _SOP_INSTANCE_UID):
                given = next(iter(_values(item, reason)), None)
                return given if isinstance(given, int) and 0 <= given <= 0xFFFF else otherwise
    return None


def _values(dataset: object, tag: str) -> list[object]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _item(outcome: PartOutcome) -> dict[str, object]:
    uids = {_SOP_CLASS_UID: outcome.sop_class_uid, _SOP_INSTANCE_UID: outcome.sop_instance_uid}
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}


def _reason(outcome: PartOutcome) -> dict[str, object]:
    return {_FAILURE_REASON: {"vr": "US", "Value": [outcome.status]}}
