"""Why a web request as a whole is not taken: each with its HTTP status (RFC 9110 15)."""

from __future__ import annotations

from dicom_node.domain.errors import NodeError


class RequestRefused(NodeError):
    """The rest of the request is not read; what was stored before stays, and the answer names it."""

    http_status = 400


class BadSyntax(RequestRefused):
    """It is no multipart/related body, or ends too early."""


class NoSuchAnswer(RequestRefused):
    """It takes answers in other media types only."""

    http_status = 406


class TooSlow(RequestRefused):
    """It stalled."""

    http_status = 408


class TooLarge(RequestRefused):
    """One object is too large, or there are too many."""

    http_status = 413


class WrongMediaType(RequestRefused):
    """It is something else than objects in application/dicom."""

    http_status = 415


class NoRoom(RequestRefused):
    """There is no disk space for it, or too much at once; it may be sent again later."""

    http_status = 503
