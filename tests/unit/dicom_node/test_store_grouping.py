"""Changes of many threads in one transaction."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicom_node.domain.errors import StoreError
from dicom_node.store.grouping import Grouped
from tests.builders.command import eventually
from tests.builders.network import PATIENCE_S


class Disk:
    """Squares numbers, the first time slowly; notes what came together."""

    def __init__(self, *, bad=()):
        self.calls = []
        self.go_on = threading.Event()
        self.bad = bad

    def make(self, numbers):
        """All or none."""
        self.calls.append(list(numbers))
        if len(self.calls) == 1:
            assert self.go_on.wait(PATIENCE_S)
        if set(numbers) & set(self.bad):
            raise StoreError("no")
        return [number * number for number in numbers]


def together(disk, numbers):
    """Results or errors of the first number, and of the others, which come while that is at work."""
    grouped = Grouped(disk.make)

    def one(number):
        try:
            return grouped(number)
        except (StoreError, ZeroDivisionError) as error:
            return error

    with ThreadPoolExecutor(len(numbers)) as threads:
        first = threads.submit(one, numbers[0])
        assert eventually(lambda: len(disk.calls) == 1)
        others = [threads.submit(one, number) for number in numbers[1:]]
        assert eventually(lambda: len(grouped._waiting) == len(others))
        disk.go_on.set()
        return [each.result(PATIENCE_S) for each in (first, *others)]


def test_who_comes_meanwhile_goes_together():
    """And everybody gets the own result."""
    disk = Disk()
    assert together(disk, [1, 2, 3, 4]) == [1, 4, 9, 16]
    assert [sorted(call) for call in disk.calls] == [[1], [2, 3, 4]]


def test_one_that_is_refused_spoils_no_other():
    """Each of its company is tried by itself."""
    disk = Disk(bad=[3])
    first, second, refused, fourth = together(disk, [1, 2, 3, 4])
    assert (first, second, fourth) == (1, 4, 16)
    assert isinstance(refused, StoreError)


def test_a_fault_reaches_one_and_the_others_go_on():
    """Whatever is raised, nobody waits for ever."""

    class Faulty(Disk):
        def make(self, numbers):
            results = super().make(numbers)
            if len(numbers) > 1:
                raise ZeroDivisionError
            return results

    results = together(Faulty(), [1, 2, 3, 4])
    assert [type(each) for each in results].count(ZeroDivisionError) == 1
    assert results[0] == 1


def test_alone_it_is_done_at_once():
    """With what it raises."""
    disk = Disk(bad=[2])
    disk.go_on.set()
    grouped = Grouped(disk.make)
    assert grouped(1) == 1
    with pytest.raises(StoreError):
        grouped(2)
    assert disk.calls == [[1], [2]]
