"""What a C-STORE status means for the object that was sent: a table (PS3.4 B.2.3, PS3.7 Annex C)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Answer(Enum):
    """What a C-STORE status means for the object that was sent."""

    #: The peer has it.
    ARRIVED = "arrived"
    #: The peer may take it later.
    LATER = "later"
    #: The peer will never take it as it is.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Statuses from `first` to `last`, both included, what they say, and what they mean for the object."""

    first: int
    last: int
    meaning: str
    answer: Answer


#: Of PS3.4 Table B.2-1 and PS3.7 Annex C; a status that is not here is final.
STATUS_RANGES: tuple[StatusRange, ...] = (
    StatusRange(0x0000, 0x0000, "Success", Answer.ARRIVED),
    StatusRange(0x0107, 0x0107, "Warning: Attribute List Error", Answer.ARRIVED),
    StatusRange(0x0110, 0x0110, "Processing Failure", Answer.LATER),
    StatusRange(0x0111, 0x0111, "Duplicate SOP Instance: it was there already", Answer.ARRIVED),
    StatusRange(0x0116, 0x0116, "Warning: Attribute Value Out of Range", Answer.ARRIVED),
    StatusRange(0xA700, 0xA7FF, "Refused: Out of Resources", Answer.LATER),
    StatusRange(0xB000, 0xBFFF, "Warning: stored with coercion, or an element discarded", Answer.ARRIVED),
)


def answer_of(status: int) -> Answer:
    """What a C-STORE response status means for the object."""
    return next((each.answer for each in STATUS_RANGES if each.first <= status <= each.last), Answer.NEVER)
