"""The Store Instances Response Module (PS3.18 Annex I) as DICOM JSON (PS3.18 Annex F): what it says of an instance."""

from __future__ import annotations

import json

_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"

_SUCCESS = 0x0000
#: What an instance has failed of when no reason is given.
_PROCESSING_FAILURE = 0x0110


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
