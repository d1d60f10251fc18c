"""Which files a path on the command line means."""

from dicom_node.files import files_under


def test_a_file_is_itself(tmp_path):
    """Whatever its name."""
    (tmp_path / "a").write_text("")
    assert files_under(tmp_path / "a") == [tmp_path / "a"]


def test_a_folder_is_every_file_in_and_below_it(tmp_path):
    """In the order of their names, folders themselves left out."""
    for name in ("b", "a/z", "a/c/x", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "d").mkdir()
    assert files_under(tmp_path) == [tmp_path / name for name in ("a/c/x", "a/z", "b", "c")]


def test_nothing_is_nothing(tmp_path):
    """No error: the command says what it means."""
    assert files_under(tmp_path / "nowhere") == []
