"""Tests and chapters as other processors run them, and at other seeds: ``python -m tests.benchmarks.processors``.

torch has three sets of kernels for one x86 processor, which sum in three orders; ``ATEN_CPU_CAPABILITY`` chooses. Each
run is a process of its own and leaves one file under ``build/processors/``; what is there is not run again. With
``--table`` nothing is run: what is there is summed up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import nbclient
import nbformat
from nbformat.v4 import new_code_cell

from mechlib.authoring import checkout
from mechlib.claims import METADATA
from tests.benchmarks import machine

CAPABILITIES = ("default", "avx2", "avx512")
THREADS = (1, 2)
EXACT = ("tests/checks", "tests/questions")
"""What only passes or fails: half a million comparisons of answers, of which none is near a bound."""
SUITE = (
    *("tests/llc", "tests/icl", "tests/stream", "tests/heads", "tests/causal", "tests/probes", "tests/stats"),
    *("tests/bridge", "tests/training", "tests/zoo", "tests/test_*.py", *EXACT),
)
"""What computes; the folders beside them grade, write and serve, and their numbers are not sampled."""
FOLDER = checkout.root() / "build" / "processors"


@dataclass(frozen=True)
class Setting:
    """One way to run."""

    capability: str
    threads: int
    offset: int

    @property
    def environment(self) -> dict[str, str]:
        """The surroundings of a process that runs so; its byte code is its own, for it notes assertions that hold."""
        return os.environ | {
            "ATEN_CPU_CAPABILITY": self.capability,
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONPATH": str(checkout.root()),
            "PYTHONPYCACHEPREFIX": str(FOLDER / "bytecode"),
        }

    def file(self, what: str) -> Path:
        """Where the outcome is kept."""
        name = what.replace("/", "+").replace("*", "all").replace(" ", "_")
        if len(name) > 100:
            name = name[:80] + hashlib.sha256(what.encode()).hexdigest()[:12]
        return FOLDER / f"{self.capability}-{self.threads}-{self.offset}" / f"{name}.json"


def run_tests(what: str, setting: Setting, *, explained: bool) -> None:
    """Run the tests that ``what`` names, arguments of pytest, and leave their record; compared numbers if explained."""
    paths = [str(p) for arg in what.split() for p in (sorted(checkout.root().glob(arg)) if "*" in arg else [arg])]
    hook = f"enable_assertion_pass_hook={str(explained and what not in EXACT).lower()}"
    plugin = ["-p", "tests.benchmarks.margins", "-o", hook, "-p", "no:cacheprovider"]
    record = ["--record", str(setting.file(what)), "--seed-offset", str(setting.offset)]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *plugin, *record, *paths]
    done = subprocess.run(command, env=setting.environment, cwd=checkout.root(), capture_output=True, text=True)
    print(done.stdout.splitlines()[-1] if done.stdout else done.stderr)


def run_chapter(what: str, setting: Setting) -> None:
    """Execute a chapter, going on after errors, and leave its numbers, its verdicts, and what the prose has wrong."""
    notebook = nbformat.read(checkout.root() / what, as_version=4)
    folder = str((checkout.root() / what).parent)
    with TemporaryDirectory() as temporary:
        lines = Path(temporary) / "quoted"
        first = f"from tests.benchmarks import margins\nmargins.of_chapter({str(lines)!r}, {setting.offset})"
        notebook.cells.insert(0, new_code_cell(first))
        client = nbclient.NotebookClient(
            notebook, timeout=1800, allow_errors=True, resources={"metadata": {"path": folder}}
        )
        start = time.perf_counter()
        client.execute(env=setting.environment)
        noted = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = {
        "seconds": time.perf_counter() - start,
        "quoted": [numbers for numbers in noted if isinstance(numbers, list)],
        "differs": [sentence for sentence in noted if isinstance(sentence, str)]
        + [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"],
        "verdicts": [o.metadata[METADATA] for o in outputs if METADATA in o.get("metadata", {})],
    }
    setting.file(what).parent.mkdir(parents=True, exist_ok=True)
    setting.file(what).write_text(json.dumps(found, indent=1))
    print(*found["differs"] or ["all as the text says"], sep="\n")


def run(units: Sequence[str], settings: Sequence[Setting], *, explained: bool) -> None:
    """Run what has not been run."""
    for setting, what in product(settings, units):
        if setting.file(what).exists():
            continue
        print(f"{setting}: {what}", flush=True)
        if what.endswith(".ipynb"):
            run_chapter(what, setting)
        else:
            run_tests(what, setting, explained=explained)


def records(units: Sequence[str]) -> Iterator[tuple[str, Setting, dict]]:
    """What is there."""
    for folder in sorted(FOLDER.glob("*-*-*")):
        capability, threads, offset = folder.name.split("-")
        setting = Setting(capability, int(threads), int(offset))
        for what in units:
            if setting.file(what).exists():
                yield what, setting, json.loads(setting.file(what).read_text())


def failures(units: Sequence[str]) -> str:
    """In Markdown: every test and every quoted number that failed, and where."""
    lines = ["| what | capability | threads | offset | said |", "|---|---|---|---|---|"]
    for what, setting, record in records(units):
        where = f"{setting.capability} | {setting.threads} | {setting.offset}"
        if "quoted" in record:
            lines += [f"| {what} | {where} | {sentence} |" for sentence in record["differs"]]
        else:
            failed = {name: test for name, test in record.items() if test["outcome"] == "failed"}
            lines += [f"| {n} | {where} | {t['message'].partition(chr(10))[0]} |" for n, t in failed.items()]
    return "\n".join(lines)


def scatter(units: Sequence[str], within: float) -> str:
    """In Markdown: compared numbers whose distance from their bound is under ``within`` standard deviations of itself.

    The distance is that of the two sides of a comparison, or of a value from the end of its tolerance, over all runs.
    """
    gaps: dict[tuple, list[float]] = defaultdict(list)
    for what, _, record in records(units):
        if "quoted" in record:
            for place, (measured, in_text, tolerance) in enumerate(record["quoted"]):
                gaps[what, place, f"{in_text:g} ± {tolerance:g}", tolerance].append(measured - in_text)
            continue
        for name, test in record.items():
            seen: dict[int, int] = defaultdict(int)
            for line, text, left, _, right, tolerance in test["compared"]:
                gaps[name, f"{line}.{seen[line]}", text, tolerance and 1.0].append((left - right) / (tolerance or 1.0))
                seen[line] += 1
    lines = [
        "| what | number | bound | runs | distance: mean | standard deviation | in it |",
        "|---|---|---|---|---|---|---|",
    ]
    for (what, place, text, tolerance), values in gaps.items():
        if len(values) < 2 or not (spread := statistics.stdev(values)):
            continue
        mean = statistics.fmean(values)
        away = (tolerance - abs(mean)) / spread if tolerance else abs(mean) / spread
        if away < within:
            lines.append(f"| {what} | {place} | {text} | {len(values)} | {mean:.3g} | {spread:.2g} | {away:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for, then print what failed and what is near its bound."""
    chapters = [str(p.relative_to(checkout.root())) for p in sorted(checkout.root().glob("book/part*/[0-9]*.ipynb"))]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("units", nargs="*", default=[*SUITE, *chapters], help="chapters, or arguments of pytest")
    parser.add_argument("--capabilities", nargs="+", default=CAPABILITIES)
    parser.add_argument("--threads", nargs="+", type=int, default=THREADS)
    parser.add_argument("--offsets", nargs="+", type=int, default=[0])
    parser.add_argument("--within", type=float, default=4.0, help="standard deviations from a bound that are listed")
    parser.add_argument("--outcomes", action="store_true", help="of tests, not what they compare: in half the time")
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args()
    print(machine.description())
    if not given.table:
        settings = [Setting(*s) for s in product(given.capabilities, given.threads, given.offsets)]
        run(given.units, settings, explained=not given.outcomes)
    print(f"\n{failures(given.units)}\n\n{scatter(given.units, given.within)}")


if __name__ == "__main__":
    main()
