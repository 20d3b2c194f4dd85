"""What a family of processes takes of the machine, seen from outside, against what it itself says."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from mechlib.grading import processes
from mechlib.grading.processes import Look, Watch, memory_of

SHARING = """
import os, sys

shared = bytearray(b"x") * 2**26
if not os.fork():
    own = bytearray(b"x") * 2**25
    print("written", flush=True)
sys.stdin.read()
"""
"""64 MB that two processes share, and 32 MB of the second's own."""

WORKING = """
import os, signal, sys, time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print("ready", flush=True)
sys.stdin.readline()
others = []
for _ in range(int(sys.argv[1])):
    others.append(os.fork())
    if not others[-1]:
        while True:
            pass
began = time.process_time()
while time.process_time() < began + 0.5:
    pass
for other in others:
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
print(sum(os.times()[:4]), flush=True)
sys.stdin.read()
"""
"""A process and as many others of its own as it is told share one processor until the first has worked for half a
second; it says what all of them used."""

COMPETING = """
import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print("ready", flush=True)
while True:
    pass
"""
TOLERANCE = 0.2
"""Seconds: times of a process are told in hundredths, and what comes before a look and after it is some more."""


@contextmanager
def started(program, *arguments):
    command = [sys.executable, "-S", "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as family:
        try:
            yield family
        finally:
            os.killpg(family.pid, signal.SIGKILL)


def test_memory_is_that_of_a_process_and_its_children_and_what_they_share_counts_once():
    with started(SHARING) as family:
        assert family.stdout.readline() == b"written\n"
        assert 96 < memory_of(family.pid) / 2**20 < 120


def fared(others):
    """Seconds that passed, that the family used by its own account, and that it was found to be starved and to work."""
    with started(WORKING, str(others)) as family:
        assert family.stdout.readline() == b"ready\n"
        before = Look.now(family.pid)
        family.stdin.write(b"\n")
        family.stdin.flush()
        used = float(family.stdout.readline())
        after = Look.now(family.pid)
    return after.at - before.at, used, after.starved_since(before), after.worked - before.worked


def test_what_processes_take_from_each_other_is_no_starvation():
    passed, used, starved, worked = fared(others=3)
    assert used > 0.5
    assert worked == pytest.approx(used, abs=TOLERANCE)
    assert starved <= passed - used + TOLERANCE


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this system does not tell who waits")
def test_what_others_take_is():
    with started(COMPETING) as other:
        assert other.stdout.readline() == b"ready\n"
        passed, used, starved, _ = fared(others=0)
    assert TOLERANCE < starved <= passed - used + TOLERANCE


def test_a_family_is_watched_by_the_clock():
    with started(SHARING) as family:
        assert family.stdout.readline() == b"written\n"
        ended = threading.Event()
        sparing, watch = (Watch(family.pid, most, ended.set, every=0.01) for most in (2**28, 2**26))
        assert ended.wait(60) and watch.exceeded
        watch.close()
        sparing.close()
        assert not sparing.exceeded


def test_shared_pages_are_looked_at_closely_before_a_family_has_too_much(monkeypatch):
    """Counted for both processes they are more than it has: 64 MB twice and 32."""
    looks = []
    monkeypatch.setattr(processes, "memory_of", lambda root: looks.append(root) or memory_of(root))
    with started(SHARING) as family:
        assert family.stdout.readline() == b"written\n"
        for most in (130 * 2**20, 2**28):
            watch = Watch(family.pid, most, lambda: None, every=0.01)
            while most < 2**28 and len(looks) < 2:
                time.sleep(0.01)
            watch.close()
            assert not watch.exceeded
        assert set(looks) == {family.pid}


def test_of_a_process_that_is_not_there_nothing_is_told():
    assert memory_of(2**22 + 1) == 0
    assert (Look.now(2**22 + 1).waited, Look.now(2**22 + 1).worked) == (0, 0)
