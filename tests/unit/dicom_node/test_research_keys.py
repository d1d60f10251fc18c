"""A key that others can read or guess is refused, with the remedy."""

import hashlib
import stat

import pytest

from dicom_node.domain.errors import NodeError, SettingsError
from dicom_node.research.keys import make_key, read_key

#: By chance, once.
RANDOM = hashlib.sha256(b"as good as random, and the same in every run").digest()


def written(folder, content, mode=0o600):
    """A key file."""
    path = folder / "research.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_made_key_can_be_read_and_is_for_its_owner(tmp_path):
    """32 bytes, no two alike, mode 0600."""
    keys = []
    for name in ("a", "b"):
        make_key(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        keys.append(read_key(tmp_path / name))
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


def test_an_existing_key_is_not_replaced(tmp_path):
    """All pseudonyms would change."""
    path = written(tmp_path, b"x")
    with pytest.raises(NodeError, match="another pseudonym"):
        make_key(path)
    assert path.read_bytes() == b"x"


def test_bytes_and_digits_are_keys(tmp_path):
    """As openssl writes them: digits with a line's end, or bytes."""
    for raw in (RANDOM, RANDOM + b"\n"):
        assert read_key(written(tmp_path, raw)) == raw
        assert read_key(written(tmp_path, f"{raw.hex()}\n".encode())) == raw


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes"),
        (RANDOM[:31], "31 bytes"),
        (RANDOM[:31].hex().encode(), "31 bytes"),
        (b"correct horse battery staple, correct horse battery staple", "is a text|not random"),
        (bytes(32), "not random"),
        (b"ab" * 32, "not random"),
        (bytes(range(1, 33)), "not random"),
        (b"Zo8!x-Qd4@pL?vR2#mK7&wT1*bN9(eY5)", "is a text"),
        (bytes(range(100, 164)), "not random"),
    ],
)
def test_a_weak_key_is_refused_with_the_remedy(tmp_path, content, problem):
    """Short, typed, repeated, counted."""
    with pytest.raises(SettingsError, match=problem) as refused:
        read_key(written(tmp_path, content))
    assert "dicom-node research-key FILE" in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_or_write_is_refused(tmp_path, mode):
    """Whoever has it can find known patients in the copies."""
    with pytest.raises(SettingsError, match="chmod 600"):
        read_key(written(tmp_path, RANDOM, mode))


def test_no_key_is_refused_with_the_remedy(tmp_path):
    """There is none."""
    with pytest.raises(SettingsError, match=r"cannot be read: No such file.*research-key FILE"):
        read_key(tmp_path / "none")
