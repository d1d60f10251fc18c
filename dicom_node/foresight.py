"""Which series that is still arriving is worth a look before its study settles, and when: a decision of values alone.

Most packages scale a stack by all of its slices, so that what is found of a part is worth nothing for the whole. Such a
stack is looked at when its series pauses, which may be its end. Where a package looks at each slice by itself, its
batches are worth asking for as they fill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicom_node.domain.study import SeriesArriving

#: No image of a series for so long: it may be over. Doubled each time it was not.
PAUSE_S = 0.25
#: Doubled no more often.
_MOST_DOUBLINGS = 8
#: A series larger than this, in bytes as received, is analysed when its study settles: nothing interrupts its reading.
LARGEST_SERIES = 256 << 20
#: New images of a series that are worth a look at once, where slices are looked at one by one.
_A_BATCH = 8


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of a series so far."""

    image_count: int = 0
    #: How often it had paused, and gone on.
    in_vain: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """Look at this series now; `is_part` when it is expected to grow."""

    series: SeriesArriving
    is_part: bool


@dataclass(frozen=True, slots=True)
class NothingYet:
    """Nothing is worth a look for so many seconds; None: until something comes."""

    wait_s: float | None


def next_look(
    arriving: Sequence[SeriesArriving], looked: Mapping[str, Looked], *, slice_by_slice: bool, now: float
) -> Look | NothingYet:
    """The first of `arriving` that is due; `looked` by Series Instance UID. `slice_by_slice`: some package looks so."""
    waits = []
    for series in arriving:
        before = looked.get(series.series_instance_uid, Looked())
        new = series.image_count - before.image_count
        if not new or series.size_bytes > LARGEST_SERIES:
            continue
        # a clock that was set back must not make a series wait for ever
        quiet_s, pause_s = abs(now - series.last_received_at), PAUSE_S * 2 ** min(before.in_vain, _MOST_DOUBLINGS)
        if quiet_s >= pause_s:
            return Look(series, is_part=False)
        # half as much again, so that a long series is read a few times in all
        if slice_by_slice and new >= max(_A_BATCH, before.image_count // 2):
            return Look(series, is_part=True)
        waits.append(pause_s - quiet_s)
    return NothingYet(min(waits, default=None))


def after(look: Look, before: Looked) -> Looked:
    """What is known once a look was taken; that the series goes on shows by a later one."""
    return Looked(look.series.image_count, before.in_vain + (not look.is_part))
