"""Secrets in files: what is read, and what is refused with the remedy and without the secret."""

import pytest

from dicom_node.credentials import authorization, read_secret
from dicom_node.domain.errors import SettingsError
from dicom_node.domain.web import Credentials, Scheme
from tests.builders.web import secret_file


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_of_ones_own_is_read(tmp_path, mode):
    """Without the end of its line."""
    assert read_secret(secret_file(tmp_path / "token", "abc", mode)) == "abc"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_of_others_is_refused(tmp_path, mode):
    """Whoever may read or write it."""
    with pytest.raises(SettingsError, match="may be read by others") as caught:
        read_secret(secret_file(tmp_path / "token", "abc", mode))
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "two\nlines", "umlaut-ä", "bell\a"])
def test_what_is_no_line_of_ascii_is_refused(tmp_path, content):
    """A header could not carry it."""
    with pytest.raises(SettingsError, match="no single line"):
        read_secret(secret_file(tmp_path / "token", content))


def test_a_missing_file_is_told(tmp_path):
    """With its name."""
    with pytest.raises(SettingsError, match=r"none\.token.*cannot be read"):
        read_secret(tmp_path / "none.token")


def test_a_login_needs_both_halves(tmp_path):
    """User name and password, with a colon between them."""
    with pytest.raises(SettingsError, match="user:password") as caught:
        authorization(Credentials(Scheme.BASIC, secret_file(tmp_path / "login", "onlyaword")))
    assert "onlyaword" not in str(caught.value)
