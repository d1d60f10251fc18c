"""What the answer to a STOW-RS request of one instance means for that instance (PS3.18 10.5.3): decisions of values.

First counts what the answer says of the instance itself, by the rules of C-STORE statuses; then the HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.answers import Answer, answer_of
from dicom_node.domain.errors import DeliveryError, ObjectRejected, PeerRefused, PeerUnavailable, SopClassRefused
from dicom_node.store_responses import status_of

#: Longer than that no server decides when an object is sent again.
_LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class StowAnswer:
    """An HTTP response, as far as it matters here."""

    http_status: int
    body: bytes
    #: The field of that name (RFC 9110 10.2.3).
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class StatusRange:
    """HTTP statuses from `first` to `last`, both included: what they mean where the body does not name the instance."""

    first: int
    last: int
    meaning: str
    answer: Answer
    #: Whether it is this server as a whole that takes nothing now.
    of_server: bool = False
    remedy: str = ""


_IS_IT_THE_URL = "is its URL that of its DICOMweb services?"

#: The first that fits counts; every status fits one.
HTTP_STATUS_RANGES: tuple[StatusRange, ...] = (
    # neither 200 nor 202 alone is a promise: pages of proxies are answered so, too
    StatusRange(
        200, 299, "success, without naming the instance", Answer.LATER, remedy=f"nothing is known; {_IS_IT_THE_URL}"
    ),
    StatusRange(300, 399, "redirection, which is not followed", Answer.LATER, True, "configure the URL it leads to"),
    StatusRange(401, 401, "Unauthorized", Answer.LATER, True, "renew the token or password in its file"),
    StatusRange(403, 403, "Forbidden", Answer.LATER, True, "have its administrator allow this node to store"),
    StatusRange(404, 405, "Not Found, Method Not Allowed", Answer.LATER, True, _IS_IT_THE_URL),
    StatusRange(407, 408, "Proxy Authentication Required, Request Timeout", Answer.LATER, True, "see the way to it"),
    StatusRange(413, 413, "Content Too Large", Answer.NEVER, remedy="raise the limit there, then resend the study"),
    StatusRange(425, 425, "Too Early", Answer.LATER, True),
    StatusRange(429, 429, "Too Many Requests", Answer.LATER, True),
    StatusRange(400, 499, "any other of 4xx, such as 400, 409 or 415", Answer.NEVER),
    StatusRange(500, 599, "server error", Answer.LATER, True),
    StatusRange(0, 999, "any other", Answer.LATER, True, _IS_IT_THE_URL),
)


def judge(answer: StowAnswer, peer: str, sop_instance_uid: str, sop_class_uid: str = "") -> int:
    """The status of the instance that was sent, success or warning.

    Raises PeerUnavailable or PeerRefused (retry, not before `wait_s`), SopClassRefused, or ObjectRejected (final). Of
    the body nothing is quoted: it may be about a patient.
    """
    status = status_of(answer.body, sop_instance_uid)
    if status is None:
        raise _by_http_status(answer, peer, sop_instance_uid)
    told = f"{sop_instance_uid}: status 0x{status:04X} (HTTP {answer.http_status})"
    meant = answer_of(status)
    if meant is Answer.LATER:
        raise PeerRefused(f"{peer} cannot take {told} now", wait_s=_seconds(answer.retry_after))
    if meant is Answer.NOT_ITS_CLASS:
        raise SopClassRefused(f"{peer} rejected {told}", sop_class_uid)
    if meant is Answer.NEVER:
        raise ObjectRejected(f"{peer} rejected {told}")
    return status


def _by_http_status(answer: StowAnswer, peer: str, sop_instance_uid: str) -> DeliveryError:
    fitting = range_of(answer.http_status)
    remedy = f"; {fitting.remedy}" if fitting.remedy else ""
    told = f"{peer} answered HTTP {answer.http_status} to {sop_instance_uid}{remedy}"
    if fitting.of_server:
        return PeerUnavailable(told, wait_s=_seconds(answer.retry_after))
    return PeerRefused(told) if fitting.answer is Answer.LATER else ObjectRejected(told)


def range_of(http_status: int) -> StatusRange:
    """What an HTTP status means."""
    return next(each for each in HTTP_STATUS_RANGES if each.first <= http_status <= each.last)


def _seconds(retry_after: str) -> float:
    """Of a Retry-After field; the form with a date is not used, since it needs clocks that agree."""
    text = retry_after.strip()
    return min(float(text), _LONGEST_WAIT_S) if text.isascii() and text.isdigit() else 0.0
