"""What the answer to a STOW-RS request means for the object that was sent."""

import json

import pytest

from dicom_node.domain.errors import ObjectRejected, PeerRefused, PeerUnavailable
from dicom_node.store_responses import status_of
from dicom_node.stow_answers import StowAnswer, judge, range_of
from tests.builders.web import stored

UID = "1.2.3"


@pytest.mark.parametrize("http_status", [200, 202, 400, 409])
@pytest.mark.parametrize(("told", "status"), [({}, 0), ({"warning": 0xB000}, 0xB000), ({"failure": 0x0111}, 0x0111)])
def test_what_is_said_of_the_instance_counts_before_the_http_status(http_status, told, status):
    """Success, a warning, or that it was there already."""
    assert judge(StowAnswer(http_status, stored(UID, **told)), "peer", UID) == status


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(0xA700, PeerRefused), (0x0110, PeerRefused), (0x0122, ObjectRejected), (0xA900, ObjectRejected),
     (0xC122, ObjectRejected)],
)  # fmt: skip
@pytest.mark.parametrize("http_status", [200, 202, 409])
def test_failure_reasons_are_those_of_c_store(http_status, failure, expected):
    """Out of resources and a processing failure may pass; the others will not."""
    with pytest.raises(expected, match=f"0x{failure:04X}"):
        judge(StowAnswer(http_status, stored(UID, failure=failure)), "peer", UID)


@pytest.mark.parametrize(
    ("http_status", "expected"),
    [(200, PeerRefused), (202, PeerRefused), (204, PeerRefused), (302, PeerUnavailable), (400, ObjectRejected),
     (401, PeerUnavailable), (403, PeerUnavailable), (404, PeerUnavailable), (409, ObjectRejected),
     (413, ObjectRejected), (415, ObjectRejected), (429, PeerUnavailable), (500, PeerUnavailable),
     (503, PeerUnavailable), (777, PeerUnavailable)],
)  # fmt: skip
def test_without_a_word_on_the_instance_the_http_status_counts(http_status, expected):
    """A success that does not name it is none; only what is about the object itself is final."""
    with pytest.raises(expected, match=f"HTTP {http_status}") as caught:
        judge(StowAnswer(http_status, stored("9.9.9")), "peer", UID)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("120", 120.0), ("", 0.0), ("-5", 0.0), ("Fri, 27 Nov 2026 12:00:00 GMT", 0.0), ("999999999", 3600.0)],
)
def test_retry_after_is_heard_within_reason(retry_after, wait_s):
    """In seconds, and never for more than an hour; also beside reasons of the instance."""
    for body in (b"", stored(UID, failure=0xA700)):
        with pytest.raises((PeerUnavailable, PeerRefused)) as caught:
            judge(StowAnswer(503, body, retry_after), "peer", UID)
        assert caught.value.wait_s == wait_s


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"<html>", b"\xff", b"7", b"[" * 100_000, b'{"00081199": 5}', b'{"00081199": {"Value": [1]}}',
     b'{"00081199": {"Value": [{"00081155": {"Value": {"1.2.3": 0}}}]}}'],
)  # fmt: skip
def test_garbage_says_nothing(body):
    """Whatever a server sends, it is read as no answer."""
    assert status_of(body, UID) is None


def test_a_failure_without_a_reason_may_be_tried_again():
    """As an empty status of C-STORE; a list of one data set is read like the data set."""
    failed = {"00081198": {"Value": [{"00081155": {"Value": [UID]}}]}}
    assert status_of(json.dumps(failed).encode(), UID) == 0x0110
    assert status_of(json.dumps([failed]).encode(), UID) == 0x0110


def test_every_status_has_a_meaning():
    """Three digits are all there is."""
    assert all(range_of(status) for status in range(100, 1000))
