"""What a status means for the object."""

import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicom_node.answers import Answer, answer_of


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0x0000, Answer.ARRIVED),
        (0xB000, Answer.ARRIVED),
        (0xB007, Answer.ARRIVED),
        (0x0111, Answer.ARRIVED),
        (0xA700, Answer.LATER),
        (0xA7FF, Answer.LATER),
        (0x0110, Answer.LATER),
        (0xA6FF, Answer.NEVER),
        (0xA900, Answer.NEVER),
        (0xC000, Answer.NEVER),
        (0xCFFF, Answer.NEVER),
        (0x0001, Answer.ARRIVED),
        (0x0107, Answer.ARRIVED),
        (0x0116, Answer.ARRIVED),
        (0x0210, Answer.LATER),
        (0x0213, Answer.LATER),
        (0x0118, Answer.NOT_ITS_CLASS),
        (0x0122, Answer.NOT_ITS_CLASS),
        (0x0117, Answer.NEVER),
        (0x0211, Answer.NEVER),
        (0x0212, Answer.NEVER),
        (0x0124, Answer.NEVER),
        (0x1234, Answer.NEVER),
    ],
)
def test_each_status_has_one_meaning(status, answer):
    """PS3.4 Table B.2-1: warnings have arrived, out of resources may later, the rest is final."""
    assert answer_of(status) is answer


def test_the_kinds_are_those_of_the_standard():
    """As another implementation has them: what it calls a warning or success has arrived, and nothing else has."""
    arrived = {status for status, kind in STORAGE_SERVICE_CLASS_STATUS.items() if kind[0] in ("Success", "Warning")}
    arrived.add(0x0111)  # a duplicate: a failure by its class, and the object is where it shall be
    assert {status for status in STORAGE_SERVICE_CLASS_STATUS if answer_of(status) is Answer.ARRIVED} == arrived


@pytest.mark.parametrize(
    ("status", "offending", "answer"),
    [
        (0xA900, (0x00080016,), Answer.NOT_ITS_CLASS),
        (0xC123, (0x00000002, 0x00080016), Answer.NOT_ITS_CLASS),
        (0xA900, (0x00080016, 0x00100010), Answer.NEVER),
        (0xC123, (0x00100010,), Answer.NEVER),
        (0xA700, (0x00080016,), Answer.LATER),
        (0x0117, (0x00080016,), Answer.NEVER),
    ],
)
def test_a_final_refusal_is_about_the_class_only_where_it_says_so(status, offending, answer):
    """By its Offending Element; a guess would cost a peer its segmentations."""
    assert answer_of(status, offending) is answer
