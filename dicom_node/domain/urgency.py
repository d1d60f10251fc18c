"""How soon a study is to be looked at, compared with others."""

from __future__ import annotations

from enum import StrEnum


class Urgency(StrEnum):
    """In alphabetical order, so that Python's and SQL's max, and ORDER BY, find the most urgent by the names alone."""

    #: May wait for all others, though not for ever.
    LOW = "low"
    ROUTINE = "routine"
    #: Before all others.
    URGENT = "urgent"


#: How often others may be claimed before the job that waits longest; then it is its turn, whatever its urgency. Under
#: load that lasts, one analysis of five goes to whoever waits longest, and an urgent study waits for one more at most.
MOST_OVERTAKEN = 4
