"""Who may talk to the web server: a decision of values alone, with its reason and the setting that would change it."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dicom_node.admission import is_in

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class KnownSender:
    """One who may store. `name` is its key in the configuration."""

    name: str
    #: None: it shows none.
    token: str | None
    #: IP addresses and networks (CIDR); None: from anywhere.
    addresses: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Denied:
    """A request that is not answered: the HTTP status, why, and what would let it in."""

    http_status: int
    reason: str
    remedy: str


def recognise(authorization: str, address: str, senders: Sequence[KnownSender]) -> KnownSender | Denied:
    """Who it is that shows this Authorization field from this address (RFC 9110 11.6.2, RFC 6750 2.1)."""
    shown = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else ""
    owners = [sender for sender in senders if sender.token is not None and _same(sender.token, shown)]
    fitting = [*owners, *(sender for sender in senders if sender.token is None)]
    at_home = next((each for each in fitting if each.addresses is None or is_in(address, each.addresses)), None)
    if at_home is not None:
        return at_home
    if owners:
        sender = owners[0]
        known = ", ".join(sorted(sender.addresses or ()))
        remedy = f"add {address} to the addresses of web.stow.from.{sender.name}"
        return Denied(403, f"{sender.name} came from {address}, which is not in its addresses ({known})", remedy)
    reason = "it showed a token that nobody has" if shown else "it showed no token"
    remedy = "give it the token in a token_file of web.stow.from, or list its address there"
    return Denied(401, reason, remedy)


def _same(token: str, shown: str) -> bool:
    return hmac.compare_digest(token.encode(), shown.encode())
