"""A class's pages in a browser: nothing runs or is loaded, they fit a phone, and axe finds nothing to complain of."""

from pathlib import Path

import pytest

from mechlib.checks.registry import questions
from mechlib.course import reports
from mechlib.course.roster import Student
from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer
from tests.browser.conftest import COMPLAINTS

NASTY = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">" + "x" * 300
STATES = ("right", "misconception", "wrong", "unanswered", "error", "timeout")


def submission(student: str, best: int) -> SubmissionGrade:
    answers = tuple(
        QuestionGrade(
            asked.id,
            asked.title,
            2.0,
            2.0 * (state == "right"),
            state,
            "no_norm" if state == "misconception" else None,
            f"{NASTY}\nsecond line",
            state == "error",
        )
        for asked, state in zip(questions(), STATES[best:] + STATES[:best], strict=False)
    )
    written = (WrittenAnswer("refutation", f"**Because** {NASTY}"),)
    return SubmissionGrade(student, NASTY, "ch02", answers, written, (NASTY,), True, 1.0)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The summary of a small class, and the feedback on one of its submissions."""
    folder = tmp_path_factory.mktemp("grades")
    grades = {f"students/s{i}": submission(f"student {i}", i % 6) for i in range(7)}
    for place, grade in grades.items():
        reports.write(grade, folder / place)
    reports.write_class(grades, folder, [Student("nobody", "No <b>Body</b>")])
    return {"summary": folder / "summary.html", "feedback": folder / "students" / "s0" / "feedback.html"}


@pytest.fixture(params=["summary", "feedback"])
def driver(request, browser, pages):
    browser.driver.get_log("browser"), browser.driver.get_log("performance")
    browser.resize(1300, 1000)
    browser.driver.get(pages[request.param].as_uri())
    return browser.driver


def dark(driver, on: bool) -> None:
    features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_complaint(driver, axe, scheme):
    dark(driver, scheme == "dark")
    driver.execute_script(axe)
    complaints = driver.execute_async_script(COMPLAINTS)
    dark(driver, False)
    assert complaints == []


def test_axe_complains_of_a_page_that_is_bad(driver, axe):
    driver.execute_script("document.documentElement.removeAttribute('lang')")
    driver.execute_script(axe)
    assert any(found.startswith("html-has-lang") for found in driver.execute_async_script(COMPLAINTS))


def test_nothing_that_a_student_wrote_runs_or_is_loaded(driver, browser):
    assert "submission" in driver.title or "Feedback on ch02" in driver.title
    assert driver.execute_script("return document.querySelectorAll('main script, main img').length") == 0
    assert [url for url in browser.strangers() if not url.startswith("file:")] == []
    assert "document.title" in driver.execute_script("return document.body.innerText")


def test_a_phone_shows_it_without_scrolling_sideways(driver, browser):
    browser.resize(360, 800)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
