"""Which series that is still arriving is looked at, and when."""

import pytest

from dicom_node.domain.study import SeriesArriving
from dicom_node.foresight import LARGEST_SERIES, PAUSE_S, Look, Looked, NothingYet, after, next_look


def series(uid="1.2.1", images=10, at=100.0, size=1000):
    """Of study 1.2."""
    return SeriesArriving("1.2", uid, images, size, at)


def chosen(*arriving, looked=None, slices=False, now=100.0):
    """The decision."""
    return next_look(arriving, looked or {}, slice_by_slice=slices, now=now)


def test_nothing_arrives():
    """There is nothing to wait for by oneself."""
    assert chosen() == NothingYet(None)


def test_a_series_is_looked_at_when_it_pauses():
    """Before that it is known when it will have paused; the first of those that have comes first."""
    assert chosen(series(), now=100.1) == NothingYet(pytest.approx(PAUSE_S - 0.1))
    assert chosen(series(), series("1.2.2", at=99.0), now=100.1) == Look(series("1.2.2", at=99.0), is_part=False)
    both = series("1.2.3", at=98.0), series("1.2.2", at=97.0)
    assert chosen(*both) == Look(both[0], is_part=False)


def test_a_pause_that_was_not_the_end_makes_the_next_one_longer():
    """A modality that sends a slice a second must not have its stack analysed a hundred times; what is known waits."""
    looked = after(Look(series(images=4), is_part=False), Looked())
    assert looked == Looked(4, in_vain=1)
    assert chosen(series(images=4), looked={"1.2.1": looked}, now=200.0) == NothingYet(None)
    assert chosen(series(images=5), looked={"1.2.1": looked}, now=100.0 + PAUSE_S) == NothingYet(pytest.approx(PAUSE_S))
    assert isinstance(chosen(series(images=5), looked={"1.2.1": looked}, now=100.0 + 2 * PAUSE_S), Look)
    assert isinstance(chosen(series(images=5), looked={"1.2.1": Looked(4, 99)}, now=100.0 + 256 * PAUSE_S), Look)


def test_slices_that_are_looked_at_one_by_one_wait_for_a_batch_only():
    """And a long stack for half as much again, since all of it is read each time; that is no pause in vain."""
    assert chosen(series(images=8), slices=True) == Look(series(images=8), is_part=True)
    assert isinstance(chosen(series(images=7), slices=True), NothingYet)
    assert after(Look(series(images=8), is_part=True), Looked(0, 2)) == Looked(8, 2)
    looked = {"1.2.1": Looked(100)}
    assert isinstance(chosen(series(images=149), looked=looked, slices=True), NothingYet)
    assert chosen(series(images=150), looked=looked, slices=True) == Look(series(images=150), is_part=True)


def test_a_series_too_large_waits_until_its_study_settles():
    """Its reading would hold up others."""
    assert chosen(series(size=LARGEST_SERIES + 1), now=200.0) == NothingYet(None)


def test_a_clock_that_was_set_back_keeps_no_series_waiting():
    """Its last image seems to come in the future."""
    assert isinstance(chosen(series(at=5000.0)), Look)
