"""What a notebook calls: ``check``, ``hint``, ``progress``, ``solved``, ``submit``. ``check`` never raises."""

from __future__ import annotations

import secrets
from pathlib import Path

import torch

from mechlib.checks import whereabouts
from mechlib.checks.handing_in import Hand, unsaved
from mechlib.checks.judging import Judgement, Trial, judge, judged_no_function
from mechlib.checks.open_judging import OpenTrial
from mechlib.checks.open_task import OpenTask
from mechlib.checks.question import Question, Task
from mechlib.checks.record import Progress, Record
from mechlib.checks.registry import asked, chapters, find

__all__ = ["check", "hint", "progress", "solved", "submit"]

RECORD = Record()
"""The state of this session."""

SIGNS = {
    "right": "✓",
    "partly": "◐",
    "wrong": "✗",
    "raised": "✗",
    "interrupted": "·",
    "unanswered": "·",
    "unjudged": "·",
}


def check(question_id: str, answer: object, *, seed: int | None = None) -> None:
    """Run ``answer`` on fresh cases of a question, print what is to be said about it and note it.

    Args:
        answer: the function that the question asks for, or what an open task wants handed in.
        seed: draws the cases; ``None`` draws a new one for every call. A wrong answer's seed is printed.

    Nothing is raised, whatever the answer does; an endless one is stopped by interrupting the kernel.
    """
    try:
        question = find(question_id)
    except LookupError as error:
        print(f"✗ {error}")
        return
    seed = secrets.randbelow(2**31) if seed is None else seed
    try:
        judgement = _judgement(question, answer, seed)
    except KeyboardInterrupt:
        judgement = Judgement("interrupted", "interrupted before your function came to an end. Does a loop never stop?")
    except Exception as error:
        print(f"✗ {question.id}: the check itself failed, which says nothing about your answer. Please report it:")
        print(f"  {type(error).__name__}: {error} (seed={seed}, default dtype {torch.get_default_dtype()})")
        return
    before = RECORD.entry(question.id)
    kept = before.status == "right" and judgement.status != "right"
    RECORD.judged(question.id, judgement.status, judgement.earned or 0.0)
    print(f"{SIGNS[judgement.status]} {question.id}: {judgement.headline}")
    for line in judgement.details:
        print(f"  {line}")
    if kept:
        print("  Your earlier right answer keeps its points.")
    elif before.earned > (judgement.earned or 0.0) and judgement.status != "right":
        print(f"  An earlier answer earned {before.earned:g} of {question.points:g} points, which stay.")
    if judgement.status in ("wrong", "raised"):
        print(f"  The same cases again: check({question.id!r}, ..., seed={seed})")


def _judgement(question: Task, answer: object, seed: int) -> Judgement:
    if isinstance(question, OpenTask):
        return (opened := OpenTrial(question, seed)).judge(opened.run(answer))
    assert isinstance(question, Question)
    if answer is None:
        return Judgement("unanswered", "not answered yet")
    if not callable(answer):
        return judged_no_function(type(answer).__name__)
    return judge(trial := Trial(question, seed), trial.run(answer))


def hint(question_id: str) -> None:
    """Print the next of a question's three hints: a nudge, the method, almost the answer."""
    try:
        question = find(question_id)
    except LookupError as error:
        print(f"✗ {error}")
        return
    number = RECORD.hinted(question.id)
    print(f"Hint {number} of 3 on {question.id}: {question.hints[number - 1]}")


def progress(chapter: str | None = None, *, save: str | Path | None = None, load: str | Path | None = None) -> Progress:
    """The state of the questions, as a table. A right answer keeps its points, whatever is tried afterwards.

    Args:
        chapter: such as ``"ch02"``; ``None`` takes the chapters asked about in this session, or all if none was.
        save: writes the session's state to this file, whole or not at all, with what is saved there already (as by
            ``load``); on Colab the browser then downloads it.
        load: first adds the state saved in this file; a right answer counts from either, for the rest what was tried
            in this session stands. On Colab, where there is no such file, the browser asks for one to upload.

    Raises:
        LookupError: for a chapter without questions.
        FileNotFoundError: if there is no file to load.
        ValueError: if the file to load, or to save over, is damaged or no progress file; the session's state and the
            file are unchanged then.
    """
    if load is not None:
        RECORD.load(whereabouts.fetched(Path(load)))
    if save is not None:
        RECORD.save(save)
        whereabouts.handed_over(Path(save))
    if chapter is not None:
        return Progress.of(RECORD, asked(chapter))
    touched = {question_id.partition(".")[0] for question_id in RECORD.entries}
    shown = [each for each in chapters() if each in touched] or chapters()
    return Progress.of(RECORD, [task for each in shown for task in asked(each)])


def solved(*question_ids: str) -> bool:
    """Whether each of these questions was answered right at least once; if not, prints which are missing."""
    missing = [question_id for question_id in question_ids if RECORD.entry(question_id).status != "right"]
    if missing:
        print(f"This needs right answers to {', '.join(missing)} first.")
    return not missing


def submit(notebook: str | Path | None = None) -> None:
    """List what is not answered, then write the file to hand in: this notebook without its outputs.

    The file is ``NAME_submission.ipynb`` in the current folder; on Colab the browser downloads it. An earlier one is
    replaced, unless somebody has written in it since.

    Args:
        notebook: the notebook's file, where it cannot be found without.

    Nothing is raised: what is wrong is printed, and then no file is written.
    """
    try:
        name, content = whereabouts.notebook(None if notebook is None else Path(notebook))
        hand = Hand(content)
        if changed := unsaved(hand, whereabouts.executed()):
            raise ValueError(f"the file has another {', '.join(changed)} than you ran. Save the notebook first.")
        path = Path(f"{Path(name).stem.removesuffix('_submission')}_submission.ipynb")
        if path.name != name and path.exists() and Hand(whereabouts.notebook(path)[1]).altered:
            raise ValueError(f"somebody has written in {path} since it was made. Rename it, or hand it in as it is.")
        lines, wanted = hand.open(RECORD), len(hand.questions) + len(hand.written)
        whereabouts.write_whole(path, hand.stripped())
    except (OSError, LookupError, ValueError) as error:
        print(f"✗ Nothing is written: {error}")
        return
    for line in lines:
        print(f"· {line}")
    print(f"{wanted - len(lines)} of {wanted} answers are complete. The file to hand in is {path}.")
    whereabouts.handed_over(path)
