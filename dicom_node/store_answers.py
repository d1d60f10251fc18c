"""What a C-STORE request brings, and the true status it is answered with, whatever happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from dicom_node.discretion import shown_uid
from dicom_node.domain.errors import CannotUnderstand, ReceiveError
from dicom_node.faults import call_path, type_and_place
from dicom_node.identification import Arrival

_LOGGER = logging.getLogger(__name__)

_SUCCESS = 0x0000
#: Error Comment (0000,0902) is LO: at most 64 characters (PS3.7 C.4).
_LONGEST_COMMENT = 64


def answer_to(event: Event, receive: Callable[[Event], None]) -> Dataset:
    """Receive what a C-STORE request brings, and the true status of that, whatever happens."""
    request = cast(C_STORE, event.request)
    refusal = refusal_of(lambda: receive(event), request.AffectedSOPInstanceUID)
    return response_with(_SUCCESS) if refusal is None else response_with(refusal.status, str(refusal))


def refusal_of(step: Callable[[], object], sop_instance_uid: object) -> ReceiveError | None:
    """Take a step in receiving an instance; why it is refused, whatever happens, and None if it is not."""
    try:
        step()
    except ReceiveError as error:
        return _told(error, sop_instance_uid)
    except Exception as error:  # noqa: BLE001  # the last resort of the SCP: whatever fails, the sender gets a true status
        _LOGGER.error(  # noqa: TRY400  # a traceback would quote messages, and they may quote the patient
            "Failed to keep %s by a fault of this node: %s (%s)",
            shown_uid(sop_instance_uid),
            type_and_place(error),
            call_path(error),
            extra={"action": "store_fault"},
        )
        return _told(CannotUnderstand(f"fault of this node: {type(error).__name__}"), sop_instance_uid)
    return None


def arrival_of(event: Event, sender: str) -> Arrival:
    """What a C-STORE request of the AE title `sender` brings. Raises CannotUnderstand for one without a data set."""
    request = cast(C_STORE, event.request)
    if request.DataSet is None:
        raise CannotUnderstand("the request has no data set")
    return Arrival(
        dataset=event.encoded_dataset(include_meta=False),
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        calling_ae_title=sender.strip(),
        priority=request.Priority or 0,
    )


def _told(error: ReceiveError, sop_instance_uid: object) -> ReceiveError:
    _LOGGER.warning(
        "Answered 0x%04X to %s: %s", error.status, shown_uid(sop_instance_uid), error, extra={"action": "store_refused"}
    )
    return error


def response_with(status: int, comment: str = "") -> Dataset:
    """A DIMSE response of that status; of the comment as much as its attribute holds."""
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = as_comment(comment)
    return response


def as_comment(text: str) -> str:
    """As much of a text as Error Comment holds, without what would make it several values."""
    return text[:_LONGEST_COMMENT].replace("\\", "/")
