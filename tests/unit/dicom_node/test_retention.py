"""Which studies go when they are old or too many."""

import pytest

from dicom_node.domain.status import LeftAlone
from dicom_node.retention import Limits, Retention

DAY_S = 86400.0
NOW = 100 * DAY_S


class Archive:
    """Studies with their sizes in bytes, and the time since they were left alone, in days; oldest first."""

    def __init__(self, sizes, days, busy=(), under_way=0):
        self.sizes = dict(zip("abcdef", sizes, strict=False))
        self.last = {name: NOW - day * DAY_S for name, day in zip("abcdef", days, strict=False)}
        self.busy = busy
        self.under_way = under_way
        self.swept = 0
        self.reasons = {}

    def left_alone(self, *, proving):
        """All of them."""
        return tuple(LeftAlone(name, at) for name, at in self.last.items())

    def expire(self, study_instance_uid, *, why, discard, now, proving):
        """Unless a late image came meanwhile."""
        if study_instance_uid in self.busy:
            return False
        del self.last[study_instance_uid]
        self.reasons[study_instance_uid] = why
        discard(study_instance_uid, ())
        return True

    def discard(self, study_instance_uid, conflicts):
        """Off the disk."""
        del self.sizes[study_instance_uid]

    def sweep(self):
        """Count."""
        self.swept += 1

    def bytes_of(self, study_instance_uid):
        """Of one."""
        return self.sizes[study_instance_uid]

    def bytes_in_all(self):
        """Of all, those that may not go included."""
        return sum(self.sizes.values()) + self.under_way


def kept(archive, days=None, limit=None):
    """What is left after one run."""
    removed = Retention(archive, archive, Limits(days, limit), lambda: NOW).keep_within_limits()
    assert (removed, archive.swept) == (len(archive.reasons), 1)
    return "".join(archive.last)


@pytest.mark.parametrize(
    ("days", "limit", "left"),
    [
        (None, None, "abcd"),
        (31, None, "bcd"),  # 31 days to the second is not older than 31 days
        (0.5, None, ""),
        (None, 40, "abcd"),
        (None, 39, "bcd"),
        (None, 20, "cd"),
        (None, 0, ""),
        (31, 25, "cd"),
        (31, 30, "bcd"),
    ],
)
def test_the_oldest_go_until_both_limits_are_kept(days, limit, left):
    """By age first, then by room; never one more than needed."""
    assert kept(Archive([10] * 4, [40, 31, 5, 1]), days, limit) == left


def test_a_study_that_may_not_go_any_more_stays_and_the_next_goes():
    """It makes no room either."""
    assert kept(Archive([10] * 4, [40, 30, 5, 1], busy="a"), limit=30) == "acd"


def test_room_that_cannot_be_made_is_told(caplog):
    """All that may go went, and the rest still takes too much."""
    assert kept(Archive([10] * 2, [40, 30], under_way=50), limit=40) == ""
    assert [record.action for record in caplog.records if record.levelname == "WARNING"] == ["retention_short"]


def test_each_end_has_its_reason():
    """In numbers of the configuration."""
    archive = Archive([2_000_000_000, 1], [40, 1])
    kept(archive, days=31)
    assert archive.reasons == {"a": "older than 31 days"}
    archive = Archive([2_000_000_000, 1], [40, 1])
    kept(archive, limit=1_500_000_000)
    assert archive.reasons == {"a": "the oldest, where 2.000 of 1.5 GB were used"}
