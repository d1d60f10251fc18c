"""The Store Instances Response Module, made: what status a request gets, and what its body says."""

import pytest
from pydicom.dataset import Dataset

from dicom_node.store_responses import PartOutcome, body_of, http_status_of, status_of

STORED = PartOutcome("1.2.1", "1.2.3", 0)
NO_ROOM = PartOutcome("1.2.1", "1.2.4", 0xA700)
MISMATCH = PartOutcome("1.2.1", "1.2.5", 0xA900)
GARBAGE = PartOutcome("", "", 0xC000)


@pytest.mark.parametrize(
    ("outcomes", "http_status"),
    [
        ([STORED], 200),
        ([STORED, STORED], 200),
        ([STORED, NO_ROOM], 202),
        ([GARBAGE, STORED], 202),
        ([NO_ROOM], 503),
        ([NO_ROOM, MISMATCH], 409),
        ([MISMATCH, GARBAGE], 409),
        ([GARBAGE], 400),
        ([], 400),
    ],
)
def test_the_http_status_sums_up(outcomes, http_status):
    """All, some, none, and why none."""
    assert http_status_of(outcomes) == http_status


def test_the_body_is_a_data_set_of_the_module():
    """Pydicom reads it; every sequence is there only if it has items (types 1C), Retrieve URL is empty (type 2)."""
    told = Dataset.from_json(body_of([STORED, NO_ROOM, GARBAGE]).decode())
    assert told.RetrieveURL == told.ReferencedSOPSequence[0].RetrieveURL == ""
    [stored] = told.ReferencedSOPSequence
    assert (stored.ReferencedSOPClassUID, stored.ReferencedSOPInstanceUID) == ("1.2.1", "1.2.3")
    [failed] = told.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.4", 0xA700)
    [other] = told.OtherFailuresSequence
    assert other.FailureReason == 0xC000
    assert set(Dataset.from_json(body_of([STORED]).decode()).dir()) == {"ReferencedSOPSequence", "RetrieveURL"}


def test_what_is_made_can_be_read():
    """By the reader of the other end."""
    body = body_of([STORED, NO_ROOM])
    assert [status_of(body, uid) for uid in ("1.2.3", "1.2.4", "1.2.5")] == [0, 0xA700, None]
