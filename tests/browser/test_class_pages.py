"""The page on what a class shows, and the one on which its answers are marked, as files in a browser."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from mechlib.checks.judging import Trial
from mechlib.course import markpage, marks
from mechlib.course.roster import Student
from mechlib.course.taught import taught
from mechlib.grading.common import told
from mechlib.grading.results import QuestionGrade, SubmissionGrade
from tests.browser.conftest import COMPLAINTS
from tests.grading.toys import TOTAL, total

NASTY = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
SHARES = [(1, 1, 1), (1, 1, 0), (1, 0, 0), (0, 1, 0)] * 6
MISTAKES = {0: lambda x, f: total(x, f) + 1, 1: lambda x, f: -total(x, f)}


def a_class() -> tuple[list[SubmissionGrade], list[Student]]:
    """24 students in two sections; of those who are wrong on the first question A's add 1, and B's turn the sign."""
    trial, grades, students = Trial(TOTAL, 2), [], []
    for number, row in enumerate(SHARES):
        section = "AB"[number % 8 >= 4]
        questions = []
        for name, right in zip(("read_out", "target_rank", "kl_to_final"), row, strict=True):
            state = "right" if right else "misconception" if name == "kl_to_final" else "wrong"
            mistake = "other_direction" if state == "misconception" else None
            questions.append(QuestionGrade(f"ch02.{name}", name, 2.0, 2.0 * right, state, mistake, "said", False))
        if not row[0]:
            kept = told(trial, trial.run(MISTAKES["AB".index(section)]))
            questions[0] = replace(questions[0], returned=kept)
        grades.append(SubmissionGrade(f"s{number:02}", "f.ipynb", "ch02", tuple(questions), (), (), False, 1.0))
        students.append(Student(f"s{number:02}", section=section))
    return grades, students


@pytest.fixture(scope="module")
def class_page(tmp_path_factory) -> Path:
    grades, students = a_class()
    path = tmp_path_factory.mktemp("class") / "class.html"
    path.write_text(taught(grades, lambda grade, name: f"def read_out():\n    # {NASTY}", students))
    return path


@pytest.fixture
def on_class(chromium, class_page):
    chromium.get_log("browser")
    chromium.get(class_page.as_uri())
    return chromium


def seen(driver, table: int) -> list[list[str]]:
    """The text of the rows of a table that are shown."""
    rows = driver.find_elements(By.TAG_NAME, "table")[table].find_elements(By.CSS_SELECTOR, "tbody tr")
    return [[c.text for c in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows if row.is_displayed()]


def test_a_class_is_shown_by_section(on_class):
    assert [(row[0], row[1], row[2], row[3]) for row in seen(on_class, 0)] == [
        ("read_out", "everybody", "24", "0.75"),
        ("target_rank", "everybody", "24", "0.75"),
        ("kl_to_final", "everybody", "24", "0.25"),
    ]
    assert [row[1] for row in seen(on_class, 2)] == ["3 (A 3)", "3 (B 3)"]
    Select(on_class.find_element(By.ID, "section")).select_by_value("B")
    assert {row[1] for row in seen(on_class, 0)} == {"B"}
    (group,) = seen(on_class, 2)
    assert group[1:3] == ["3 (B 3)", "total: the right value with the other sign"]


def test_tables_sort_by_number_and_by_text_and_both_ways(on_class):
    def click(table: int, name: str) -> None:
        table_ = on_class.find_elements(By.TAG_NAME, "table")[table]
        next(b for b in table_.find_elements(By.CSS_SELECTOR, "thead button") if b.text == name).click()

    click(0, "share of points")
    assert [row[3] for row in seen(on_class, 0)] == ["0.25", "0.75", "0.75"]
    click(0, "share of points")
    assert [row[3] for row in seen(on_class, 0)] == ["0.75", "0.75", "0.25"]
    click(0, "question")
    assert [row[0] for row in seen(on_class, 0)] == ["kl_to_final", "read_out", "target_rank"]


def test_rows_are_found_by_words_and_what_is_folded_is_printed(on_class):
    on_class.find_element(By.ID, "words").send_keys("other sign")
    assert len(seen(on_class, 2)) == 1 and seen(on_class, 0) == []
    on_class.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert on_class.find_element(By.CSS_SELECTOR, "tr:not([hidden]) details[open] pre").text.startswith(
        "def read_out():"
    )
    on_class.execute_script("dispatchEvent(new Event('afterprint'))")
    assert on_class.find_elements(By.CSS_SELECTOR, "details[open]") == []


def test_nothing_of_a_student_s_runs_and_the_page_complains_of_nothing(on_class):
    assert on_class.title.startswith("What the class shows")
    assert [entry for entry in on_class.get_log("browser") if entry["level"] == "SEVERE"] == []


# ---- marking


TEXTS = {"ada": f"Because {NASTY}", "bob": "'- the step\n'- the rest", "eve": "because", "leo": ""}


def rows_of(texts) -> list[dict[str, str]]:
    return [
        {
            "student": student,
            "chapter": "ch02",
            "question": question,
            "points": "",
            "comment": "",
            "answer": marks.sign(text),
            "file": f"{student}.ipynb",
            "text": text,
        }
        for student, text in texts.items()
        for question in ("refutation", "other")
    ]


def save(path: Path, rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, marks.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    return save(tmp_path / "written.csv", rows_of(TEXTS))


@pytest.fixture
def desk(chromium, table, tmp_path):
    """The page of six answers to two questions, and a folder for what it exports."""
    page = markpage.write(table)
    chromium.get_log("browser")
    chromium.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "out")}
    )
    (tmp_path / "out").mkdir()
    chromium.get(page.as_uri())
    return chromium


def press(driver, *keys: str) -> None:
    for key in keys:
        driver.switch_to.active_element.send_keys(key)


def one(driver, name: str):
    return driver.find_element(By.ID, name)


def where(driver) -> str:
    return f"{one(driver, 'who').text.partition(',')[0]} {one(driver, 'heading').text}"


def export(driver, folder: Path) -> list[dict[str, str]]:
    """The rows of the file that the page gives."""
    for old in folder.glob("*"):
        old.unlink()
    one(driver, "export").click()
    file = folder / "written.csv"
    WebDriverWait(driver, 20).until(lambda _: file.is_file() and not list(folder.glob("*.crdownload")))
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))


def test_a_class_is_marked_by_keys_and_exported(desk, tmp_path):
    assert where(desk) == "ada ch02: refutation (1 of 6)"
    assert "2 answers were left empty" in desk.find_element(By.CSS_SELECTOR, "[role=status]").text
    assert one(desk, "text").text == f"Because {NASTY}" and desk.title == "Marking: 6 answers"
    assert "the flaw" in one(desk, "rubric").text and "4 points in all" in one(desk, "rubric").text
    press(desk, "3", "c")
    press(desk, 'Good, but = 2,5 "quoted"' + Keys.ENTER + "second line 7")
    press(desk, Keys.ESCAPE, Keys.ARROW_RIGHT)
    assert where(desk) == "bob ch02: refutation (2 of 6)"
    assert one(desk, "text").text == "- the step\n- the rest"
    press(desk, "2", ".", Keys.ARROW_DOWN, "9")
    assert "at most 4 points" in desk.find_element(By.CSS_SELECTOR, "[role=status]").text
    press(desk, "0", "n")
    assert where(desk) == "ada ch02: other (4 of 6)"
    press(desk, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert one(desk, "points").get_property("value") == "2.5"
    assert one(desk, "count").text == "3 of 6 marked, not all exported"
    found = {(row["student"], row["question"]): row for row in export(desk, tmp_path / "out")}
    given = {name: (row["points"], row["comment"]) for name, row in found.items() if row["points"] or row["comment"]}
    assert given == {
        ("ada", "refutation"): ("3", 'Good, but = 2,5 "quoted"\nsecond line 7'),
        ("bob", "refutation"): ("2.5", ""),
        ("eve", "refutation"): ("0", ""),
    }
    assert tuple(found["ada", "other"]) == marks.COLUMNS and len(found) == 8
    for row in found.values():
        assert row["answer"] == marks.sign(TEXTS[row["student"]]) and row["text"] == TEXTS[row["student"]]
    assert one(desk, "count").text == "3 of 6 marked"


def test_what_is_typed_outlives_the_page_and_a_page_that_is_made_anew(desk, table):
    press(desk, "4", "c")
    press(desk, "half a sent")
    desk.refresh()
    assert one(desk, "points").get_property("value") == "4"
    assert one(desk, "comment").get_property("value") == "half a sent"
    desk.get("about:blank")
    page = markpage.write(save(table, rows_of({**TEXTS, "zoe": "late"})))
    desk.get(page.as_uri())
    assert where(desk) == "ada ch02: refutation (1 of 8)"
    assert one(desk, "comment").get_property("value") == "half a sent"


def test_two_tabs_lose_nothing_of_each_other(desk, tmp_path):
    first = desk.current_window_handle
    address = desk.current_url
    press(desk, "1")
    desk.switch_to.new_window("tab")
    try:
        desk.get(address)
        press(desk, Keys.ARROW_RIGHT, "2")
        desk.close()
    finally:
        desk.switch_to.window(first)
    press(desk, "c")
    press(desk, "x")
    given = [(row["student"], row["points"], row["comment"]) for row in export(desk, tmp_path / "out") if row["points"]]
    assert given == [("ada", "1", "x"), ("bob", "2", "")]


def test_marks_of_an_earlier_version_say_so_and_are_not_passed_off_as_of_this_one(desk, table, tmp_path):
    press(desk, "3")
    desk.get("about:blank")
    desk.get(markpage.write(save(table, rows_of({**TEXTS, "ada": "another text"}))).as_uri())
    assert one(desk, "older").is_displayed() and one(desk, "points").get_property("value") == "3"
    assert export(desk, tmp_path / "out")[0]["answer"] == marks.sign(TEXTS["ada"])
    one(desk, "holds").click()
    assert not one(desk, "older").is_displayed()
    assert export(desk, tmp_path / "out")[0]["answer"] == marks.sign("another text")


def test_an_earlier_file_fills_what_is_empty_and_overwrites_nothing(desk, tmp_path):
    press(desk, "1", "c")
    press(desk, "mine")
    press(desk, Keys.ESCAPE)
    texts = {name: text for name, text in TEXTS.items() if text} | {"gone": "left the course"}
    before = [row for row in rows_of(texts) if row["question"] == "refutation"]
    for row, points in zip(before, "3201", strict=True):
        row |= {"points": points, "comment": f"theirs, {points}"}
    one(desk, "file").send_keys(str(save(tmp_path / "earlier.csv", before)))
    status = desk.find_element(By.CSS_SELECTOR, "[role=status]")
    WebDriverWait(desk, 20).until(lambda _: "2 marks are taken" in status.text)
    assert "1 of nobody on this page" in status.text and "1 differ" in status.text
    assert one(desk, "comment").get_property("value") == "mine"
    given = [(r["student"], r["points"], r["comment"]) for r in export(desk, tmp_path / "out") if r["points"]]
    assert given == [
        ("ada", "1", "mine"),
        ("bob", "2", "theirs, 2"),
        ("eve", "0", "theirs, 0"),
        ("gone", "1", "theirs, 1"),
    ]
    one(desk, "file").send_keys(str(tmp_path / "earlier.csv"))
    WebDriverWait(desk, 20).until(lambda _: "0 marks are taken" in status.text)
    one(desk, "adopt").click()
    assert one(desk, "comment").get_property("value") == "theirs, 3"


def test_what_it_exports_is_read_back_the_same(desk, tmp_path):
    """Separators, quotes, line ends and signs that a spreadsheet would compute, in the words of a person."""
    words = ' =1+1; "a", b\tc '.strip()
    press(desk, "2", "c")
    press(desk, words.replace("\t", " "))
    press(desk, Keys.ESCAPE)
    first = export(desk, tmp_path / "out")
    (tmp_path / "out" / "written.csv").rename(tmp_path / "again.csv")
    desk.execute_script("localStorage.clear()")
    desk.refresh()
    assert one(desk, "points").get_property("value") == ""
    one(desk, "file").send_keys(str(tmp_path / "again.csv"))
    WebDriverWait(desk, 20).until(lambda _: one(desk, "points").get_property("value") == "2")
    assert export(desk, tmp_path / "out") == first


def test_a_browser_that_keeps_nothing_says_so_and_forgets_nothing_while_it_is_open(chromium, table):
    blocked = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked'); }});"
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": blocked})
    try:
        chromium.get(markpage.write(table).as_uri())
        press(chromium, "3", Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
        assert one(chromium, "points").get_property("value") == "3"
        assert "keeps nothing" in chromium.find_element(By.CSS_SELECTOR, "[role=status]").text
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        chromium.execute_script("addEventListener('beforeunload', event => event.stopImmediatePropagation(), true)")
        chromium.get("about:blank")


def test_points_that_are_none_are_marked_and_names_can_be_hidden(desk):
    one(desk, "points").send_keys("5")
    assert desk.execute_script("return document.getElementById('points').matches(':invalid')")
    one(desk, "points").send_keys(Keys.BACKSPACE + "3,5")
    assert not desk.execute_script("return document.getElementById('points').matches(':invalid')")
    one(desk, "nameless").click()
    assert one(desk, "who").text == ""
    Select(one(desk, "only")).select_by_visible_text("ch02: other")
    assert one(desk, "heading").text == "ch02: other (1 of 3)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["class", "marking"])
def test_axe_has_no_complaint_and_a_phone_need_not_scroll(chromium, class_page, table, axe, which, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chromium.get((class_page if which == "class" else markpage.write(table)).as_uri())
    chromium.execute_script(axe)
    complaints = chromium.execute_async_script(COMPLAINTS)
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    width = chromium.execute_script("return document.documentElement.scrollWidth")
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert complaints == [] and width <= 360
