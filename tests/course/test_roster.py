"""A roster is read or refused as a whole."""

import codecs

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


ROWS = "id,name,canvas_id\r\na1,Zoë Müller,101\r\nb2,Łukasz Żak,102\r\n"
FOUND = (Student("a1", "Zoë Müller", canvas_id="101"), Student("b2", "Łukasz Żak", canvas_id="102"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path, encoding, separator, end):
    text = ROWS.replace(",", separator).replace("\r\n", end)
    assert read(tmp_path, text, encoding) == FOUND
    if separator != ",":
        assert read(tmp_path, f"SEP={separator}{end}{text}", encoding) == FOUND


def test_big_endian_unicode_is_read_by_its_mark(tmp_path):
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")):
        (tmp_path / "roster.csv").write_bytes(mark + ROWS.encode(encoding))
        assert roster.read(tmp_path / "roster.csv") == FOUND


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("id,name\na1,Ada\nb2,Zoë\n".encode("latin-1"), r"line 3: b2,Zo\\xeb is not in UTF-8, .*'CSV UTF-8' \(Excel\)"),
        ("id,name\na1,O’Neill\n".encode("cp1252"), r"line 2: a1,O\\x92Neill is not .* Windows-1252 .*save it as"),
        (ROWS.encode("utf-16-le"), r"no text in UTF-8; it may be UTF-16 .*save it as 'CSV UTF-8'"),
        (b"PK\x03\x04\0\0workbook", "a workbook: save it as"),
        (b"id,name\na1,Lovelace, Ada\n", "line 2: 3 cells where the first line has 2; .* in double quotes"),
        (b'id,name\na1,"Ada\nb2,Bob\n', "line 3: .*; is a double quote missing"),
        (b"id,name,id\na1,Ada,b2\n", "several columns of one name: 'id'"),
        (b"id,canvas_id\na1,1.2E+11\n", r"line 2: the canvas_id is '1\.2E\+11', not a number .* formatted as text"),
        (b"id,moodle_id\na1,Participant\n", "line 2: the moodle_id is 'Participant', not a number"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_remedy(tmp_path, content, complaint):
    (tmp_path / "roster.csv").write_bytes(content)
    with pytest.raises(ValueError, match=complaint) as raised:
        roster.read(tmp_path / "roster.csv")
    assert "\n" not in str(raised.value)


def test_a_platform_s_number_is_taken_as_its_lists_write_it(tmp_path):
    text = "id,canvas_id,moodle_id,brightspace_id\na1,101,Participant 4711,#77\nb2,,Teilnehmer/in 12,\nc3\n"
    assert [(s.canvas_id, s.moodle_id, s.brightspace_id) for s in read(tmp_path, text)] == [
        ("101", "4711", "77"),
        ("", "12", ""),
        ("", "", ""),
    ]


def test_an_id_is_not_taken_for_another_s_number():
    ada, bob = Student("2", "Ada", canvas_id="3"), Student("3", "Bob", canvas_id="2")
    assert roster.whose([ada, bob]) == {"2": ada, "3": bob, "ada": ada, "bob": bob}


def test_a_name_is_the_same_composed_and_decomposed():
    zoe = Student("z", "Zoe\N{COMBINING DIAERESIS}")
    assert roster.whose([zoe])["zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"] == zoe


def test_a_student_is_found_by_anything_that_fits_nobody_else():
    ada = Student("ada", "Sam Smith", "a@x.org", "101")
    other = Student("eve", "Sam Smith", "e@x.org", "102")
    found = roster.whose([ada, other])
    assert found["101"] == found["ada"] == found["a@x.org"] == ada
    assert "sam smith" not in found


def test_a_student_whose_keys_are_equal_is_found_by_them():
    ada = Student("ada", "Ada", login="ADA")
    assert roster.whose([ada]) == {"ada": ada}
