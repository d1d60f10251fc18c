"""How urgent an image is: by its request, its sender and its header; a decision of values alone.

A study is as urgent as the most urgent of its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_node.domain.urgency import Urgency

#: Priority (0000,0700) of a C-STORE request (PS3.7 9.3.1.1) -> urgency.
_OF_REQUEST = {0: Urgency.ROUTINE, 1: Urgency.URGENT, 2: Urgency.LOW}
#: Defined terms of Requested Procedure Priority (0040,1003, PS3.3 C.4.11) that cannot wait.
_PRESSING = frozenset({"STAT", "HIGH"})


@dataclass(frozen=True, slots=True)
class Signs:
    """What an image comes with. Texts are empty where the header has none."""

    calling_ae_title: str
    #: Priority (0000,0700) of the request.
    priority: int
    modality: str
    requested_procedure_priority: str


@dataclass(frozen=True, slots=True)
class UrgencyRules:
    """What the configuration says of urgency."""

    #: Calling AE title -> what counts instead of the priority of its requests.
    senders: Mapping[str, Urgency] = field(default_factory=dict)
    #: Modality (0008,0060) of images that are urgent.
    modalities: frozenset[str] = frozenset()


def urgency_of(signs: Signs, rules: UrgencyRules) -> Urgency:
    """How urgent one image is. A header can make it urgent, and never less so than its sender does."""
    if signs.modality in rules.modalities or signs.requested_procedure_priority in _PRESSING:
        return Urgency.URGENT
    of_sender = rules.senders.get(signs.calling_ae_title)
    return _OF_REQUEST.get(signs.priority, Urgency.ROUTINE) if of_sender is None else of_sender
