"""The first ``check`` of a session is quick: it imports one chapter of the bank, and no large library."""

import json
import subprocess
import sys

import pytest

LARGE = ("scipy", "sklearn", "pandas", "IPython", "matplotlib", "transformers", "transformer_lens", "mechlib.zoo")

NEEDED = {"ch05.stretch": ["scipy"], "ch12.crossing": ["scipy"]}
"""What the reference of a question cannot do without."""

MOST = 100
"""Modules that a first ``check`` imports beside torch and what torch imports; 60 at most were counted."""

ASKED = f"""
import json, sys
import torch
before = set(sys.modules)
from mechlib.checks import check, registry
seen = {{}}

def ask(question):
    earlier = set(sys.modules)
    check(question.id, question.reference, seed=0)
    check(question.id, lambda *inputs: 0.0, seed=0)
    seen[question.id] = [name for name in {LARGE} if name in sys.modules and name not in earlier]
"""

ALL = f"""
for chapter in registry.chapters():
    for question in registry.questions(chapter):
        if question.id not in {list(NEEDED)}:
            ask(question)
    counted = [name for name in sys.modules if name not in before]
    chapters = [name for name in counted if name.startswith("mechlib.questions.ch") and name.count(".") == 2]
    seen[chapter] = [len(counted), len(chapters)]
"""


def imported(asking: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", f"{ASKED}{asking}\nprint(json.dumps(seen))"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def seen():
    return imported(ALL)


def test_a_chapter_is_imported_when_it_is_asked_about_and_no_earlier(seen):
    counts = {name: counted for name, counted in seen.items() if "." not in name}
    assert [n_chapters for _, n_chapters in counts.values()] == list(range(1, len(counts) + 1))
    assert next(iter(counts.values()))[0] <= MOST


def test_no_question_imports_a_large_library_that_it_does_not_need(seen):
    assert not {name: found for name, found in seen.items() if "." in name and found}


@pytest.mark.parametrize("question", NEEDED)
def test_the_few_that_need_one_import_it_and_no_other(question):
    assert imported(f"ask(registry.find({question!r}))")[question] == NEEDED[question]
