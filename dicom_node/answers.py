"""What a C-STORE status means for the object that was sent: a table (PS3.4 B.2.3, PS3.7 Annex C)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum


class Answer(Enum):
    """What a C-STORE status means for the object that was sent."""

    #: The peer has it.
    ARRIVED = "arrived"
    #: The peer may take it later.
    LATER = "later"
    #: The peer takes nothing of its SOP class; another one may take its place.
    NOT_ITS_CLASS = "not its class"
    #: The peer will never take it as it is.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Statuses from `first` to `last`, both included, what they say, and what they mean for the object."""

    first: int
    last: int
    meaning: str
    answer: Answer


#: Of PS3.4 Table B.2-1 and PS3.7 Annex C; a status that is not here is final. A response without a status is no answer
#: at all, and the object is sent again.
STATUS_RANGES: tuple[StatusRange, ...] = (
    StatusRange(0x0000, 0x0000, "Success", Answer.ARRIVED),
    StatusRange(0x0001, 0x0001, "Warning: optional attributes are not supported", Answer.ARRIVED),
    StatusRange(0x0107, 0x0107, "Warning: Attribute List Error", Answer.ARRIVED),
    StatusRange(0x0110, 0x0110, "Processing Failure", Answer.LATER),
    StatusRange(0x0111, 0x0111, "Duplicate SOP Instance: it was there already", Answer.ARRIVED),
    StatusRange(0x0116, 0x0116, "Warning: Attribute Value Out of Range", Answer.ARRIVED),
    StatusRange(0x0118, 0x0118, "No Such SOP Class", Answer.NOT_ITS_CLASS),
    StatusRange(0x0122, 0x0122, "Refused: SOP Class Not Supported", Answer.NOT_ITS_CLASS),
    StatusRange(0x0210, 0x0210, "Duplicate Invocation: the message ID is in use", Answer.LATER),
    StatusRange(0x0213, 0x0213, "Resource Limitation", Answer.LATER),
    StatusRange(0xA700, 0xA7FF, "Refused: Out of Resources", Answer.LATER),
    StatusRange(0xB000, 0xBFFF, "Warning: stored with coercion, or an element discarded", Answer.ARRIVED),
)


#: Affected SOP Class UID of the request, SOP Class UID of the object.
_TAGS_OF_THE_CLASS = frozenset({0x0000_0002, 0x0008_0016})


def answer_of(status: int, offending: Collection[int] = ()) -> Answer:
    """What a C-STORE response status means for the object; `offending` are the tags of Offending Element (0000,0901).

    A data set that does not match (A9xx) or cannot be understood (Cxxx) may be refused for its SOP class as for
    anything else: it was for the class where nothing else is named as offending.
    """
    answer = next((each.answer for each in STATUS_RANGES if each.first <= status <= each.last), Answer.NEVER)
    is_about_the_data_set = 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF
    if is_about_the_data_set and offending and _TAGS_OF_THE_CLASS.issuperset(offending):
        return Answer.NOT_ITS_CLASS
    return answer
