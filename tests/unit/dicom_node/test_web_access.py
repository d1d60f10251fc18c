"""Who may talk to the web server, and what the others are told."""

import pytest

from dicom_node.web.access import Denied, KnownSender, recognise

TOKEN_ONLY = KnownSender("TOKEN", "secret", None)
BOTH = KnownSender("BOTH", "other", ("192.0.2.0/24",))
ADDRESS_ONLY = KnownSender("NEAR", None, ("198.51.100.7",))
SENDERS = (ADDRESS_ONLY, TOKEN_ONLY, BOTH)


@pytest.mark.parametrize(
    ("authorization", "address", "name"),
    [
        ("Bearer secret", "203.0.113.9", "TOKEN"),
        ("BEARER  secret ", "203.0.113.9", "TOKEN"),
        ("Bearer other", "192.0.2.200", "BOTH"),
        ("Bearer other", "::ffff:192.0.2.200", "BOTH"),
        ("", "198.51.100.7", "NEAR"),
        ("Bearer unknown", "198.51.100.7", "NEAR"),
        ("Bearer secret", "198.51.100.7", "TOKEN"),
    ],
)
def test_a_token_an_address_or_both(authorization, address, name):
    """Whichever the configuration asks for; a token of one's own says more than an address."""
    assert recognise(authorization, address, SENDERS).name == name


@pytest.mark.parametrize(
    ("authorization", "address", "http_status", "reason"),
    [
        ("Bearer other", "203.0.113.9", 403, "BOTH came from 203.0.113.9"),
        ("Bearer secre", "203.0.113.9", 401, "token that nobody has"),
        ("Bearer s\u00e9cret", "203.0.113.9", 401, "token that nobody has"),
        ("Basic secret", "203.0.113.9", 401, "no token"),
        ("Bearer ", "203.0.113.9", 401, "no token"),
        ("", "192.0.2.200", 401, "no token"),
    ],
)
def test_others_are_denied_with_the_setting_that_would_let_them_in(authorization, address, http_status, reason):
    """And never with what they showed."""
    denied = recognise(authorization, address, SENDERS)
    assert isinstance(denied, Denied)
    assert denied.http_status == http_status
    assert reason in denied.reason
    assert "web.stow.from" in denied.remedy
    assert "secre" not in denied.reason + denied.remedy


def test_without_senders_nobody_gets_in():
    """As when every token file is unreadable."""
    assert isinstance(recognise("Bearer ", "127.0.0.1", ()), Denied)
