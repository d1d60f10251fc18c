"""What a C-STORE status means for the object that was sent: a table (PS3.4 B.2.3, PS3.7 Annex C)."""

from __future__ import annotations

from enum import Enum


class Answer(Enum):
    """What a C-STORE status means for the object that was sent."""

    #: The peer has it.
    ARRIVED = "arrived"
    #: The peer may take it later.
    LATER = "later"
    #: The peer will never take it as it is.
    NEVER = "never"


#: (first, last, meaning) of PS3.4 Table B.2-1 and PS3.7 Annex C; a status that is not here is final.
_ANSWERS: tuple[tuple[int, int, Answer], ...] = (
    (0x0000, 0x0000, Answer.ARRIVED),
    (0x0107, 0x0107, Answer.ARRIVED),  # attribute list error: a warning
    (0x0110, 0x0110, Answer.LATER),  # processing failure
    (0x0111, 0x0111, Answer.ARRIVED),  # duplicate SOP instance: it was there already
    (0x0116, 0x0116, Answer.ARRIVED),  # attribute value out of range: a warning
    (0xA700, 0xA7FF, Answer.LATER),  # out of resources
    (0xB000, 0xBFFF, Answer.ARRIVED),  # stored with coercion, or an element discarded
)


def answer_of(status: int) -> Answer:
    """What a C-STORE response status means for the object."""
    return next((answer for first, last, answer in _ANSWERS if first <= status <= last), Answer.NEVER)
