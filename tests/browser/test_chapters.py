"""A chapter of the built book has the parts that every chapter has."""

import re

import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()
CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in checkout.notebooks(ROOT, "book")]


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request, browser):
    """The browser with one chapter after the other open, and the chapter's name."""
    browser.open(request.param)
    return browser, request.param.rsplit("/")[-1]


def test_a_claim_is_quoted_and_a_guess_asked_for_each_that_is_tested(chapter):
    browser, _ = chapter
    with_result = browser.all(".mechlib-verdict:not(.not):not(.withdrawn)")
    assert len(browser.all(".mechlib-guess")) >= len(with_result) and browser.all("blockquote")


def test_there_are_figures_and_where_formulas_are_written_mathematics(chapter):
    browser, name = chapter
    (path,) = checkout.root().glob(f"book/part*/{name}.ipynb")
    cells = checkout.read_notebook(path)["cells"]
    written = any("$" in cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert browser.all(".mechlib-figure img") and bool(browser.all("mjx-container")) == written


@pytest.mark.parametrize("width", [1300, 390], ids=["desktop", "phone"])
def test_no_equation_is_cut_off_on_the_left_where_nobody_can_scroll(chapter, width):
    browser, _ = chapter
    browser.resize(width, 1000)
    cut = browser.driver.execute_script("""
        return [...document.querySelectorAll("div.math")].filter((box) => {
            const signs = [...box.querySelectorAll("mjx-mi, mjx-mo, mjx-mn")];
            box.scrollLeft = 0;
            const left = Math.min(...signs.map((sign) => sign.getBoundingClientRect().left));
            return left < box.getBoundingClientRect().left - 1;
        }).map((box) => box.textContent.slice(0, 60));
    """)
    assert not cut


def test_each_claim_has_one_verdict(chapter):
    browser, name = chapter
    claims = [re.match(r"Claim (\d\d[a-z])", card.text)[1] for card in browser.all(".mechlib-verdict")]
    assert claims and len(set(claims)) == len(claims)
    assert all(claim.startswith(name[:2]) for claim in claims)


def test_exercises_are_announced_and_linked(chapter):
    browser, name = chapter
    if name.endswith(checkout.MORE):
        return
    links = [link.get_attribute("href") for link in browser.all("article a")]
    assert browser.all(".admonition.exercise")
    assert any("colab" in link and link.endswith(f"/exercises/{name}.ipynb") for link in links)


def test_every_citation_leads_to_its_reference(browser):
    targets = set()
    for chapter in CHAPTERS:
        browser.open(chapter)
        targets |= {link.get_attribute("href") for link in browser.all('article a[href*="references.html#"]')}
    assert targets
    browser.open("book/references")
    for target in targets:
        assert browser.one(f"[id='{target.partition('#')[2]}']").text
