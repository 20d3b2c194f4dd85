"""What the cells of the chapters printed: made by executing the chapters side by side, and kept in Jupyter's cache.

Jupyter Book takes the pages' outputs from that cache, and the ledger its verdicts. The cache goes by the code of a
notebook; with each execution it keeps what else decided the outputs (``mechlib.authoring.reach``), and a chapter is
executed again when any of that has changed.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord
from nbclient import NotebookClient
from nbformat import NotebookNode

from mechlib import guesses
from mechlib.authoring import checkout, reach, witness

__all__ = ["Outputs"]

CACHE = "_build/.jupyter_cache"
PARSED = "_build/.doctrees"
"""The folder of the pages as Sphinx has read them, each with its outputs in it."""
SKIPPED = "skip-execution"
"""The tag of a cell that is not executed."""
EXECUTING = frozenset({"raises-exception", SKIPPED})
"""Tags that change what an execution does; others are for the page."""
NAMED = 3
"""So many files a sentence names; of more it gives the number."""


@dataclass(frozen=True, eq=False)
class Chapter:
    """A chapter as its files are now."""

    path: Path
    """In the checkout."""
    notebook: NotebookNode
    made_with: Mapping[str, str]
    """What decides its outputs beside its code, as ``reach.Library.made_with`` has it."""


class Outputs:
    """The outputs of the chapters of a checkout.

    Args:
        folder: the checkout. Its library is read once.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.library = reach.Library(folder)
        self.cache = get_cache(folder / CACHE)

    def read(self, path: Path) -> NotebookNode:
        """The notebook at ``path`` in the checkout with its outputs.

        Raises:
            FileNotFoundError: if it has not been executed as it and what it reaches now stand.
        """
        chapter = self.chapter(path)
        if reason := self._outdated(chapter):
            raise FileNotFoundError(f"{path} has not been executed as it now stands: {reason}; run 'make html'")
        return self.cache.merge_match_into_notebook(chapter.notebook)[1]

    def make(self, say: Callable[[str], None] = print) -> dict[Path, str]:
        """Execute the chapters whose outputs are missing or outdated, as many at once as there are processors.

        Args:
            say: is given a line for each of these chapters before and after.

        Returns:
            the chapters that failed, each with the reason. They are left without outputs.
        """
        paths = [path.relative_to(self.folder) for path in checkout.notebooks(self.folder, "book")]
        chapters = [self.chapter(path) for path in paths]
        for chapter in chapters:
            self._take_over(chapter)
        reasons = {chapter: self._outdated(chapter) for chapter in chapters}
        waiting = self._longest_first([chapter for chapter, reason in reasons.items() if reason])
        for chapter in waiting:
            say(f"{chapter.path}: {reasons[chapter]}")
        return self._execute(waiting, say) if waiting else {}

    def chapter(self, path: Path) -> Chapter:
        """The chapter at ``path`` in the checkout as it is now."""
        notebook = nbformat.read(self.folder / path, as_version=4)
        return Chapter(path, notebook, self.library.made_with(notebook))

    def keep(self, chapter: Chapter, seconds: float = 0.0) -> None:
        """Put a chapter with its outputs into the cache. Its page is read anew when the book is built next."""
        data = {"execution_seconds": seconds, "made_with": dict(chapter.made_with)}
        bundle = CacheBundleIn(chapter.notebook, self._uri(chapter), data=data)
        self.cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        (self.folder / PARSED / chapter.path.with_suffix(".doctree")).unlink(missing_ok=True)

    def _record(self, chapter: Chapter) -> NbCacheRecord | None:
        try:
            return self.cache.match_cache_notebook(chapter.notebook)
        except KeyError:
            return None

    def _outdated(self, chapter: Chapter) -> str:
        """Why the chapter is to be executed, or nothing if it is not."""
        record = self._record(chapter)
        if record is None:
            return "this code was not executed yet"
        before = record.data.get("made_with", {})
        changed = sorted({name for name, _ in before.items() ^ chapter.made_with.items()})
        return f"{_few(changed)} changed since it was executed" if changed else ""

    def _take_over(self, chapter: Chapter) -> None:
        """Keep the outputs of the same code where only marks of its cells are new: the cache goes by them too."""
        earlier = [record for record in self.cache.list_cache_records() if record.uri == self._uri(chapter)]
        if self._record(chapter) or not earlier:
            return
        executed = self.cache.get_cache_bundle(earlier[-1].pk).nb
        if _executable(executed) == _executable(chapter.notebook):
            made_with = earlier[-1].data.get("made_with", {})
            notebook = _with_outputs(chapter.notebook, executed)
            self.keep(replace(chapter, notebook=notebook, made_with=made_with), _seconds(earlier[-1]))

    def _forget(self, chapter: Chapter) -> None:
        if record := self._record(chapter):
            self.cache.remove_cache(record.pk)

    def _uri(self, chapter: Chapter) -> str:
        return str(self.folder / chapter.path)

    def _longest_first(self, chapters: list[Chapter]) -> list[Chapter]:
        """The chapters in the order of their last execution's time, so that none is long alone at the end."""
        seconds = {record.uri: _seconds(record) for record in self.cache.list_cache_records()}
        return sorted(chapters, key=lambda chapter: -seconds.get(self._uri(chapter), math.inf))

    def _execute(self, chapters: list[Chapter], say: Callable[[str], None]) -> dict[Path, str]:
        config = yaml.safe_load((self.folder / "_config.yml").read_text(encoding="utf-8"))
        jobs = [Job(self.folder, chapter, config["execute"]["timeout"]) for chapter in chapters]
        failed = {}
        with ThreadPool(min(len(jobs), joblib.cpu_count())) as pool:  # the kernels are processes of their own
            for run in pool.imap_unordered(execute, jobs):
                path = run.chapter.path
                if problem := run.problem or _unforeseen(run):
                    self._forget(run.chapter)
                    failed[path] = problem
                else:
                    self.keep(run.chapter, run.seconds)
                say(f"{path}: {'failed' if problem else 'executed'} in {run.seconds:.0f} s")
        return failed


@dataclass(frozen=True)
class Job:
    """A chapter to be executed."""

    folder: Path
    """The checkout."""
    chapter: Chapter
    timeout: float
    """Seconds for a cell."""


@dataclass(frozen=True)
class Run:
    """What came of a job."""

    chapter: Chapter
    """With its outputs, up to the cell that failed."""
    seconds: float
    opened: set[str]
    """The files of the checkout that were read."""
    problem: str
    """What stopped it; empty where nothing did."""


def execute(job: Job) -> Run:
    """Execute a chapter in a kernel of its own, in the folder that it stands in, with the library of its checkout."""
    start, problem = time.monotonic(), ""
    places = [str(job.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    with TemporaryDirectory() as temporary:
        log = Path(temporary) / "opened"
        client = NotebookClient(
            job.chapter.notebook,
            timeout=job.timeout,
            record_timing=False,  # it would stand in the cells, by which the cache goes
            extra_arguments=witness.arguments(job.folder, log),
            resources={"metadata": {"path": str((job.folder / job.chapter.path).parent)}},
        )
        try:
            client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(places), guesses.PAGE: "1"})
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        problem = problem or _unfinished(job.chapter.notebook)
        return Run(job.chapter, time.monotonic() - start, witness.opened(log), problem)


def _unfinished(notebook: NotebookNode) -> str:
    """That an execution ended before the last cell, as a problem: one that is interrupted may end without an error."""
    for cell in _code_cells(notebook):
        executed = cell.execution_count or not cell.source.strip() or SKIPPED in cell.metadata.get("tags", ())
        if not executed:
            return f"it ended before cell {cell.id}"
    return ""


def _unforeseen(run: Run) -> str:
    """What a run read that its chapter was not known to reach, as a problem."""
    files = sorted(run.opened - run.chapter.made_with.keys())
    if not files:
        return ""
    return (
        f"it read {_few(files)}, to which nothing in its cells leads, so that a change there would go unseen: "
        "import by statements, and write the names of models out"
    )


def _seconds(record: NbCacheRecord) -> float:
    return record.data.get("execution_seconds", 0.0)


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _executable(notebook: NotebookNode) -> list[tuple[str, Set[str]]]:
    """What is executed of a notebook: code, and the tags that say how."""
    return [(cell.source, EXECUTING & set(cell.metadata.get("tags", ()))) for cell in _code_cells(notebook)]


def _with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """A notebook with the outputs of another with the same code."""
    done = copy.deepcopy(notebook)
    done.metadata |= {key: executed.metadata[key] for key in ("language_info", "widgets") if key in executed.metadata}
    for cell, other in zip(_code_cells(done), _code_cells(executed), strict=True):
        cell.outputs, cell.execution_count = other.outputs, other.execution_count
    return done


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
