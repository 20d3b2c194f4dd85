import os

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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_private_file_is_its_owners_from_the_first_byte(tmp_path, umask):
    path = tmp_path / "secret"
    path.write_bytes(b"open to all")
    path.chmod(0o644)
    before = os.umask(umask)
    try:
        with written_whole(path, private=True) as stream:
            assert [each.stat().st_mode & 0o777 for each in tmp_path.iterdir() if each != path] == [0o600]
            stream.write(b"hush")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600 and path.read_bytes() == b"hush"
