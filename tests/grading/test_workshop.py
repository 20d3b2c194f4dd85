"""Servers and workers: what is started again, what is counted, what a machine without namespaces does."""

import os
import signal

import pytest

from mechlib.grading import workshop
from mechlib.grading.processes import family
from mechlib.grading.worker import rooms
from mechlib.grading.workshop import Lost, Workshop, counted_already


def test_one_server_forks_every_worker(shop):
    shop.worker().end()
    server = shop.process
    shop.worker().end()
    assert shop.process is server


def test_a_server_that_was_killed_is_started_again(shop):
    shop.worker().end()
    for process in [*family(shop.process.pid)]:
        os.kill(int(process.name), signal.SIGKILL)
    worker = shop.worker()
    worker.send({"cells": [[0, "1 + 1"]]}, seconds=20)
    assert worker.receive(seconds=20)[0] == {"cell": 0}
    assert worker.receive(seconds=20)[0] == {"done": True}
    worker.end()


def test_a_worker_that_says_nothing_is_given_up(shop):
    worker = shop.worker()
    with pytest.raises(Lost, match=r"was stopped after 0\.1 seconds") as lost:
        worker.receive(seconds=0.1)
    assert lost.value.slow
    worker.end()


def test_without_namespaces_every_worker_has_a_server_of_its_own(sandboxed, monkeypatch):
    class Old(Workshop):
        """As where the machine allows no namespaces within the sandbox."""

        def worker(self):
            self.shared = False
            return super().worker()

    with Old() as shop:
        shop.worker().end()
        first = shop.process.pid
        shop.worker().end()
        assert shop.process.pid != first


def test_why_a_server_does_not_start_is_said(sandboxed, monkeypatch):
    monkeypatch.setattr(workshop.server, "__name__", "mechlib.no_such_server")
    with Workshop() as shop, pytest.raises(OSError, match=r"No module named mechlib\.no_such_server"):
        shop.worker()


def test_an_old_system_counts_what_else_the_user_runs(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    monkeypatch.setattr(workshop, "owner", lambda process: 4321 if process.name == str(os.getpid()) else 0)
    monkeypatch.setattr(os, "uname", lambda: type("Name", (), {"release": "5.14.0-503.el9.x86_64"}))
    assert counted_already(apart=True) == 0
    assert counted_already(apart=False) == len(os.listdir("/proc/self/task"))
    monkeypatch.setattr(os, "uname", lambda: type("Name", (), {"release": "4.18.0-553.el8.x86_64"}))
    assert counted_already(apart=True) == len(os.listdir("/proc/self/task"))


def test_a_room_that_cannot_be_made_says_why():
    with pytest.raises(OSError, match="no room"):
        rooms.open_room(lambda: None, Failing(), user=None, shared=False)


class Failing(rooms.Limits):
    """Limits that cannot be applied."""

    def apply(self):
        raise OSError("no room")
