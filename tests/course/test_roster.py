"""A roster is read or refused as a whole."""

import pytest

from mechlib.course import roster
from mechlib.course.roster import Student


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return roster.read(path)


def test_columns_in_any_order_others_ignored(tmp_path):
    found = read(tmp_path, "mark,name,id,email\n1,Ada, a1 ,a@x.org\n2,Zoë,b2,\n")
    assert found == (Student("a1", "Ada", "a@x.org"), Student("b2", "Zoë"))


def test_a_spreadsheet_s_mark_and_line_ends_and_empty_lines_are_no_trouble(tmp_path):
    assert read(tmp_path, "id,name\r\na1,Ada\r\n,\r\n\r\n", "utf-8-sig") == (Student("a1", "Ada"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("id\na1\nb2\na1\n", "more than one student: a1"),
        ("id\nAnna\nanna\n", "more than one student: Anna, anna"),
        ("name\nAda\n", r"no column 'id'; its columns are 'name'"),
        ("", "no column 'id'; its columns are none"),
        ("id,name\n", "names no student"),
        ("id,name\n,Ada\n", "line 2: the id is ''"),
        ("id\n../etc\n", r"line 2: the id is '\.\./etc'"),
        ("id\n.hidden\n", "line 2: the id is"),
        ("id\na b\n", "line 2: the id is 'a b'"),
        ("id\n" + "a" * 101 + "\n", "line 2: the id is"),
    ],
)
def test_a_bad_roster_is_refused_with_what_is_wrong(tmp_path, text, complaint):
    with pytest.raises(ValueError, match=complaint) as raised:
        read(tmp_path, text)
    assert "roster.csv" in str(raised.value)


def test_a_student_is_found_by_anything_that_fits_nobody_else():
    ada = Student("ada", "Sam Smith", "a@x.org", "101")
    other = Student("eve", "Sam Smith", "e@x.org", "102")
    found = roster.whose([ada, other])
    assert found["101"] == found["ada"] == found["a@x.org"] == ada
    assert "sam smith" not in found


def test_a_student_whose_keys_are_equal_is_found_by_them():
    ada = Student("ada", "Ada", login="ADA")
    assert roster.whose([ada]) == {"ada": ada}
