"""What a measurement was made on, and how time and memory are measured."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]


def description() -> str:
    """The machine and the versions in one paragraph."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformer-lens", "transformers"))
    processor = models[0] if models else platform.processor()
    return (
        f"{platform.system()} {platform.machine()}, {processor}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} torch threads; Python {platform.python_version()}, {packages}."
    )


def interleaved_seconds(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Wall time of every call, once a round; each round starts with another call. One round of warming up before."""
    return interleaved_seconds_of({name: (lambda call=call: _seconds(call)) for name, call in calls.items()}, rounds)


def interleaved_seconds_of(clocks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What every clock says, once a round; each round starts with another. One round of warming up before."""
    names = list(clocks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            found = clocks[name]()
            if number >= 0:
                seconds[name].append(found)
    return seconds


def _seconds(call: Call) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_and_quartiles(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile; of a single value that value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def ratio(seconds: dict[str, list[float]], name: str, other: str) -> str:
    """The time of ``name`` over that of ``other`` within a round: median (quartiles)."""
    ratios = [mine / value for mine, value in zip(seconds[name], seconds[other], strict=True)]
    return "{:.2f} ({:.2f} to {:.2f})".format(*median_and_quartiles(ratios))


def table_of_times(seconds: dict[str, list[float]], ours: str) -> str:
    """In Markdown: the time of every method, and within each round that of ``ours`` over it."""
    lines = [f"| method | time, ms: median (quartiles) | {ours}'s time over it: median (quartiles) |", "|---|---|---|"]
    for name, values in seconds.items():
        times = median_and_quartiles([1e3 * value for value in values])
        lines.append("| {} | {:.1f} ({:.1f} to {:.1f}) | {} |".format(name, *times, ratio(seconds, ours, name)))
    return "\n".join(lines)


def table_of_peaks(peaks: dict[str, int], ours: str) -> str:
    """In Markdown: the peak memory of every method, given in bytes, and that of ``ours`` over it."""
    lines = [f"| method | peak memory, MB | {ours}'s over it |", "|---|---|---|"]
    lines += [f"| {name} | {peak / 1e6:.1f} | {peaks[ours] / peak:.2f} |" for name, peak in peaks.items()]
    return "\n".join(lines)


def peak_of_tensors(call: Call) -> int:
    """Bytes that tensors take at the height of a call, beside those that are there before it; the same every time.

    What it returns counts, what it holds outside of torch does not. Resident memory would depend on what the kernel of
    the system has taken back from the process in the meantime.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = call()
    del kept
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(accumulate(taken, initial=0))
