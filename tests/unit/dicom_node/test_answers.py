"""What a status means for the object."""

import pytest

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
        (0x0122, Answer.NEVER),
        (0x0124, Answer.NEVER),
        (0x1234, Answer.NEVER),
    ],
)
def test_each_status_has_one_meaning(status, answer):
    """PS3.4 Table B.2-1: warnings have arrived, out of resources may later, the rest is final."""
    assert answer_of(status) is answer
