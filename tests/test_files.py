import pytest

from mechlib.files import written_whole


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with written_whole(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and [*tmp_path.iterdir()] == [path]


def test_nothing_is_left_of_what_was_cut_short(tmp_path):
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "a.bin") as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert [*tmp_path.iterdir()] == []
