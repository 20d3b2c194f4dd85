"""One sentence a line, on the same page as before."""

import pytest

from mechlib.authoring import checkout, markdown, sentences

ROOT = checkout.root()
WRITTEN = [path for path, _ in sentences.expected(ROOT) if path.suffix == ".ipynb"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three! Four", ["One.", "Two?", "Three!", "Four"]),
        ("It is 0.5 or 1.2e3. So", ["It is 0.5 or 1.2e3.", "So"]),
        ("See Elhage et al. (2021), e.g. Fig. 2, i.e. No. 3, vs. Ch. 4. Then", None),
        ("Elhage et al. {cite}`x` say so, cf. J. Smith. Then", None),
        ("It is 1.5 vs. 2.5. Then", ["It is 1.5 vs. 2.5.", "Then"]),
        ("**01a. A claim.** {cite:t}`who2020` said so.", ["**01a. A claim.**", "{cite:t}`who2020` said so."]),
        ('He says "so". *Then* `x` is. `y` is not.', ['He says "so".', "*Then* `x` is.", "`y` is not."]),
        (
            "In `a. B` and $x. Y$ and [a](b.c) nothing ends. $z$ does",
            ["In `a. B` and $x. Y$ and [a](b.c) nothing ends.", "$z$ does"],
        ),
        ("It ends here... or not. (It does. Yes.) So", ["It ends here... or not.", "(It does.", "Yes.)", "So"]),
        ("A line may not begin with a mark. - so. 1. nor this. # nor this", None),
    ],
)
def test_where_sentences_end(text, expected):
    whole = [text] if expected is None else expected
    if expected is None and "Then" in text:
        whole = [text.removesuffix(" Then"), "Then"]
    assert sentences.split(text) == whole


SOURCE = """\
# A title. With a stop

A paragraph. It goes
on. And ends.

- An item. With two
  sentences.
  1. A nested one. Also two.

> A quotation. Of
> two sentences.

A break that is meant.\\
After it. More.

| a table. With | two. Cells |
|---|---|
| One. Two | Three. Four |

```
code. Is not. Touched
```

$$
a. B
$$

:::{admonition} A box. Yes
:class: claim
Its text. Is Markdown.

- So is. This.
:::
"""

BY_SENTENCE = """\
# A title. With a stop

A paragraph.
It goes on.
And ends.

- An item.
  With two sentences.
  1. A nested one.
     Also two.

> A quotation.
> Of two sentences.

A break that is meant.\\
After it.
More.

| a table. With | two. Cells |
|---|---|
| One. Two | Three. Four |

```
code. Is not. Touched
```

$$
a. B
$$

:::{admonition} A box. Yes
:class: claim
Its text.
Is Markdown.

- So is.
  This.
:::
"""


def test_only_paragraphs_are_rewritten_and_their_marks_are_kept():
    assert sentences.by_sentence(SOURCE) == BY_SENTENCE
    assert sentences.by_sentence(BY_SENTENCE) == BY_SENTENCE
    assert markdown.page(SOURCE) == markdown.page(BY_SENTENCE)


def test_a_page_that_would_change_is_refused(monkeypatch):
    monkeypatch.setattr(sentences, "split", lambda text: [text, "- More"])
    with pytest.raises(ValueError, match=r"changes the page of this text: \['- More'\]"):
        sentences.by_sentence("Some.")


def test_the_book_and_the_solutions_are_written_so():
    assert sentences.stale() == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_page_changes_and_a_second_time_changes_nothing(path):
    for cell in checkout.read_notebook(path)["cells"]:
        if cell["cell_type"] == "markdown":
            done = sentences.by_sentence(cell["source"])
            assert markdown.page(done) == markdown.page(cell["source"])
            assert sentences.by_sentence(done) == done


def test_write_reaches_notebooks_and_pages(checkout_folder):
    page = checkout_folder / "book" / "intro.md"
    page.write_text("One. Two.\n", encoding="utf-8")
    assert any(
        "book/intro.md" in problem and "mechlib book sentences" in problem
        for problem in sentences.stale(checkout_folder)
    )
    assert page in sentences.write(checkout_folder)
    assert page.read_text() == "One.\nTwo.\n"
    assert sentences.stale(checkout_folder) == sentences.write(checkout_folder) == []
