"""Grading a class: every notebook of a folder or zip, several at a time, each in its own process in a sandbox."""

from __future__ import annotations

import hashlib
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from joblib import Parallel, delayed

from mechlib.checks.registry import chapters, find
from mechlib.grading import sandbox
from mechlib.grading.assignment import Assignment, read_secret
from mechlib.grading.bench import bench
from mechlib.grading.marking import Marking, graded
from mechlib.grading.notebook import Handed, read
from mechlib.grading.results import QuestionGrade, SubmissionGrade, Ungraded
from mechlib.grading.sandbox import Engine
from mechlib.grading.state import State
from mechlib.grading.submissions import Submission, collect, later_counts
from mechlib.grading.versions import version
from mechlib.grading.worker.rooms import Limits

__all__ = ["Grading", "grade", "grade_one"]

Writer = Callable[[SubmissionGrade, Path], object]


@dataclass(frozen=True)
class Paper:
    """A submission that was read."""

    submission: Submission
    handed: Handed | None
    """``None`` where it could not be read."""
    error: str = ""
    digest: str = ""
    """The same for the same file."""


def grade(
    path: str | Path,
    out: str | Path,
    *,
    chapter: str | None = None,
    secret: str | Path | None = None,
    jobs: int | None = None,
    timeout: float = 30.0,
    resume: bool = False,
    engine: Engine = "bubblewrap",
    write: Writer | None = None,
    known: Iterable[str] = (),
    released: Iterable[str] = (),
    superseded: bool = False,
) -> Grading:
    """Prepare to grade a class. The grades come, in the order in which they are ready, from iterating over the result.

    Every student has hidden cases of their own, drawn by the secret and by what tells the student from the others: the
    platform's number where there is one, else the name.

    Args:
        path: a folder or zip of submissions, see ``collect``.
        out: the folder of the grades, new or that of an earlier run, whose grades are replaced.
        chapter: ``"chNN"``; ``None`` takes the one that most of the notebooks are on.
        secret: a file whose content draws the hidden cases; ``None`` draws a new secret and keeps it in ``out``.
        jobs: notebooks at a time; ``None`` takes as many as there are processors.
        timeout: seconds for a cell or an answer; a notebook as a whole has ten times as much.
        resume: go on with a run that was stopped: what is graded already, with the same secret, is not graded again,
            but for questions that were changed since.
        engine: what builds the sandbox; ``"none"`` trusts the submissions.
        write: is given every grade and the folder, not made yet, that its files belong in.
        known: what the students of the course may be called by, see ``collect``.
        released: the ids of the questions that the course was released with: those of the chapter are graded, also if
            the chapter no longer asks them; where it was released with none, those that it asks now.
        superseded: whether the files that a later one of the same student replaces are graded too, after the others.

    Raises:
        ValueError: for no submissions, a chapter without questions or no majority of one, a secret too short or visible
            to notebooks, a ``timeout`` of 0 or less, or an ``out`` that holds something else or lies in ``path``, or
            that in it; for ``resume`` where there is nothing to go on with.
        NoSandbox: if the engine cannot build one here.
    """
    path, out, secret = Path(path), Path(out), Path(secret) if secret else None
    _refuse(path, out, chapter, timeout)
    if engine != "none":
        sandbox.refuse_if_visible((path, out, secret))
    sandbox.require(engine)
    papers = [_paper(submission) for submission in collect(path, known)]
    state = State(out, resume=resume, secret=read_secret(secret) if secret else None)
    chapter = chapter or _majority(papers)
    pinned = [find(name) for name in released if name.partition(".")[0] == chapter]
    assignment = Assignment.of(chapter, state.secret, pinned or None)
    counted = _counted(papers, assignment.chapter)
    return Grading(counted, assignment, state, out, jobs, timeout, engine, write, superseded)


def _refuse(path: Path, out: Path, chapter: str | None, timeout: float) -> None:
    if not timeout > 0:
        raise ValueError(f"the time for a cell is {timeout:g} seconds; it must be more than 0")
    if chapter not in (None, *chapters()):
        raise ValueError(f"there are no questions on {chapter!r}; chapters with questions: {', '.join(chapters())}")
    a, b = path.resolve(), out.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise ValueError(f"the grades ({out}) and the submissions ({path}) must not lie in one another")


@dataclass(frozen=True)
class Grading:
    """A class that is being graded, or is about to be; iterating does the work and gives the grades."""

    papers: Sequence[Paper]
    assignment: Assignment
    state: State
    out: Path
    jobs: int | None
    timeout: float
    engine: Engine
    write: Writer | None
    superseded: bool = False

    @property
    def folders(self) -> dict[str, str]:
        """For the source of every submission, the folder of its files: in ``out``, named after the student."""
        taken: Counter[str] = Counter()
        found = {}
        for paper in sorted(self.papers, key=lambda paper: paper.submission.superseded):
            name = unicodedata.normalize("NFKC", paper.submission.student)
            name = re.sub(r"[^\w.-]+", "_", name).strip("._")[:50] or "student"
            taken[name.casefold()] += 1
            count = taken[name.casefold()]
            found[paper.submission.source] = f"students/{name}" + (f"~{count}" if count > 1 else "")
        return found

    def __len__(self) -> int:
        """Number of submissions."""
        return len(self.papers)

    def unread(self) -> list[SubmissionGrade]:
        """What stands for the grades before anything is graded: who handed in which file, and its written answers."""
        return [replace(_set_aside(paper, self.assignment), ungraded="") for paper in self.papers]

    def asked_again(
        self, questions: Set[str], before: Mapping[str, SubmissionGrade]
    ) -> Iterator[tuple[SubmissionGrade, SubmissionGrade]]:
        """Ask some questions anew, of the submissions that were graded ``before``, by source; nothing is written.

        A submission that was not graded then, or that holds something else since, is left out.

        Yields:
            the grade that was and the one that is, where no other question differs.
        """
        fitting = [(p, before[p.submission.source]) for p in self.papers if p.submission.source in before]
        todo = [(paper, done) for paper, done in fitting if not done.ungraded and done.digest == paper.digest]
        tasks = (delayed(_graded_again)(*each, questions, self.assignment, self.timeout, self.engine) for each in todo)
        was = {done.source: done for _, done in todo}
        try:
            jobs = self.jobs or len(os.sched_getaffinity(0))
            for _, now in Parallel(jobs, prefer="threads", return_as="generator_unordered")(tasks):
                yield was[now.source], now
        finally:
            bench(Limits(), self.engine).close()

    def keep(self, grades: Iterable[SubmissionGrade], questions: Set[str]) -> None:
        """Note grades for the next run that goes on, whose ``questions`` were asked as they are now.

        The other questions keep the versions that they were asked in, and are asked again where those are not known.
        """
        of = {paper.submission.source: paper for paper in self.papers}
        now = {name: version(asked.question) for name, asked in self.assignment.asked.items() if name in questions}
        for grade in grades:
            key = self._key(of[grade.source])
            self.state.note(key, grade, {**self.state.versions(key), **now})
        self.state.begin()

    def __iter__(self) -> Iterator[SubmissionGrade]:
        self.state.begin()
        folders, todo = self.folders, []
        versions = {asked.question.id: version(asked.question) for asked in self.assignment.asked.values()}
        for paper in self.papers:
            done, stale = self._done(paper, versions)
            if done is not None and not stale:
                yield self._kept(_named(done, paper), folders)
            elif paper.submission.superseded and not self.superseded:
                yield self._kept(_set_aside(paper, self.assignment), folders)
            else:
                todo.append((paper, done, stale))
        todo.sort(key=lambda each: each[0].submission.superseded)
        tasks = (delayed(_graded_again)(*each, self.assignment, self.timeout, self.engine) for each in todo)
        jobs = self.jobs or len(os.sched_getaffinity(0))
        try:
            for paper, grade in Parallel(jobs, prefer="threads", return_as="generator_unordered")(tasks):
                if grade.ungraded != "grader":
                    self.state.add(self._key(paper), grade, versions)
                yield self._kept(grade, folders)
        finally:
            bench(Limits(), self.engine).close()

    def _done(self, paper: Paper, versions: dict[str, str]) -> tuple[SubmissionGrade | None, set[str]]:
        """The grade of an earlier run, and the ids of the questions that were changed since or could not be judged."""
        done, before = self.state.grade(self._key(paper)), self.state.versions(self._key(paper))
        if done is not None:
            done = replace(done, questions=tuple(q for q in done.questions if q.id in versions))
        unjudged = {q.id for q in done.questions if q.status == "unjudged"} if done is not None else set()
        return done, unjudged | {name for name, now in versions.items() if before.get(name) != now}

    def _key(self, paper: Paper) -> str:
        """What the grade of a paper depends on."""
        about = (self.assignment.chapter, paper.submission.source, paper.digest, paper.error, self.timeout)
        return self.state.key(*about, _whose(paper.submission))

    def _kept(self, grade: SubmissionGrade, folders: dict[str, str]) -> SubmissionGrade:
        if self.write is not None:
            self.write(grade, self.out / folders[grade.source])
        return grade


def grade_one(
    content: bytes,
    assignment: Assignment,
    *,
    student: str = "",
    source: str = "",
    timeout: float = 30.0,
    engine: Engine = "bubblewrap",
) -> SubmissionGrade:
    """The grade of one notebook's file. The server that it starts stays, for the next one, until this process ends.

    Args:
        student: draws the hidden cases together with the secret, see ``Assignment.of_student``.
    """
    submission = Submission(student, source, Path(source))
    try:
        paper = Paper(submission, read(content))
    except ValueError as error:
        paper = Paper(submission, None, str(error))
    return _graded(paper, assignment, timeout, engine)


def _paper(submission: Submission) -> Paper:
    digest = ""
    try:
        content = submission.notebook_bytes
        digest = hashlib.sha256(content).hexdigest()
        return Paper(submission, read(content), "", digest)
    except ValueError as error:
        return Paper(submission, None, str(error), digest)


def _majority(papers: Sequence[Paper]) -> str:
    """The chapter that most notebooks are on.

    Raises:
        ValueError: if no chapter is that of more than half of those that show one.
    """
    counts = Counter(paper.handed.chapter for paper in papers if paper.handed and paper.handed.chapter)
    if not counts:
        raise ValueError("no notebook holds a question of a chapter; name the chapter that is to be graded")
    chapter, most = counts.most_common(1)[0]
    if 2 * most <= counts.total():
        found = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
        raise ValueError(f"the notebooks are on several chapters ({found}); name the one that is to be graded")
    return chapter


def _counted(papers: Sequence[Paper], chapter: str) -> list[Paper]:
    """The papers, with the last one of every student marked as the one that counts, as far as it is on the chapter."""
    fitting = [paper for paper in papers if not _elsewhere(paper, chapter)]
    content = {paper.submission.source: paper.digest or paper.submission.source for paper in papers}
    marked = {s.source: s for s in later_counts((p.submission for p in fitting), lambda s: content[s.source])}
    served = {paper.submission.student for paper in fitting}
    for paper in papers:
        if paper.submission.source not in marked:
            replaced = replace(paper.submission, superseded=paper.submission.student in served, tied=False)
            marked[paper.submission.source] = replaced
    return [replace(paper, submission=marked[paper.submission.source]) for paper in papers]


def _whose(submission: Submission) -> str:
    """What tells a student from all others, the same for whatever they hand in."""
    return f"{submission.platform} {submission.number}" if submission.number else submission.student


def _set_aside(paper: Paper, assignment: Assignment) -> SubmissionGrade:
    """What stands for the grade of a paper that does not count, so that nobody's time is spent on it."""
    written, why = paper.handed.written if paper.handed else (), "a later submission counts"
    grade = SubmissionGrade("", "", assignment.chapter, _nothing(assignment, why), written, (), False, 0.0)
    return _named(replace(grade, ungraded="superseded"), paper)


def _elsewhere(paper: Paper, chapter: str) -> bool:
    return paper.handed is not None and paper.handed.chapter not in (None, chapter)


def _graded_again(
    paper: Paper, done: SubmissionGrade | None, stale: Set[str], assignment: Assignment, timeout: float, engine: Engine
) -> tuple[Paper, SubmissionGrade]:
    """The grade of a paper, where only the ``stale`` questions are asked if there is a grade of the others."""
    if done is None or done.ungraded:
        return paper, _graded(paper, assignment, timeout, engine)
    asked = {name: asked for name, asked in assignment.asked.items() if name in stale}
    grade = _graded(paper, replace(assignment, asked=asked), timeout, engine)
    if grade.ungraded:
        return paper, replace(grade, questions=_nothing(assignment, "the grader failed"))
    return paper, _together(done, grade, assignment)


def _together(before: SubmissionGrade, now: SubmissionGrade, assignment: Assignment) -> SubmissionGrade:
    """The grade of a paper some of whose questions were asked again, ``now``."""
    found = {question.id: question for question in (*before.questions, *now.questions)}
    again = re.compile("|".join(rf"\b{re.escape(question.id)}\b" for question in now.questions))
    kept = [problem for problem in before.problems if not again.search(problem)]
    look = now.needs_human or (before.needs_human and (bool(kept) or any(q.needs_human for q in found.values())))
    questions = tuple(found[name] for name in assignment.asked)
    return replace(now, questions=questions, problems=tuple(dict.fromkeys((*kept, *now.problems))), needs_human=look)


def _graded(paper: Paper, assignment: Assignment, timeout: float, engine: Engine) -> SubmissionGrade:
    """The grade of a paper; where the grader fails on it, that is said in place of a grade."""
    began = time.monotonic()
    ungraded: Ungraded = ""
    if paper.handed is None:
        ungraded = "file"
    elif _elsewhere(paper, assignment.chapter):
        ungraded = "chapter"
    try:
        questions, problems, look = _answered(paper, assignment, timeout, engine)
    except Exception as error:  # whatever one notebook brings about, the others are graded
        ungraded, questions = "grader", _nothing(assignment, "the grader failed")
        problems, look = (f"The grader failed on this notebook: {type(error).__name__}: {error}",), True
    written = paper.handed.written if paper.handed else ()
    seconds = round(time.monotonic() - began, 3)
    grade = SubmissionGrade("", "", assignment.chapter, questions, written, problems, look, seconds, ungraded=ungraded)
    return _named(grade, paper)


def _answered(
    paper: Paper, assignment: Assignment, timeout: float, engine: Engine
) -> tuple[tuple[QuestionGrade, ...], tuple[str, ...], bool]:
    """The grades of the questions, the problems, and whether somebody should look at the paper."""
    handed = paper.handed
    if handed is None:
        return _nothing(assignment, "the file cannot be graded"), (_sentence(paper.error),), True
    if _elsewhere(paper, assignment.chapter):
        problem = f"The notebook is on {handed.chapter}, not on {assignment.chapter}."
        return _nothing(assignment, f"the notebook is on {handed.chapter}"), (problem,), True
    marking = Marking(assignment.of_student(_whose(paper.submission)), handed.cells, timeout=timeout)
    with bench(Limits(), engine).workshop() as shop:
        marking.run(shop)
    return marking.grades(), (*handed.problems, *marking.problems), marking.needs_human


def _nothing(assignment: Assignment, why: str) -> tuple[QuestionGrade, ...]:
    """No points for any question."""
    return tuple(graded(asked, "unanswered", f"not graded: {why}.") for asked in assignment.asked.values())


def _named(grade: SubmissionGrade, paper: Paper) -> SubmissionGrade:
    about = ("student", "source", "number", "superseded", "tied", "platform", "late", "handed_in", "timed")
    return replace(grade, digest=paper.digest, **{name: getattr(paper.submission, name) for name in about})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
