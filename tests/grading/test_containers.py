"""A container engine in place of bubblewrap; the engine of the tests is a stand-in (``engine.py``)."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from mechlib import cli
from mechlib.checks import registry
from mechlib.grading import containers, sandbox
from mechlib.grading.sandbox import NoSandbox
from mechlib.grading.worker import server
from mechlib.grading.worker.rooms import Limits
from mechlib.grading.workshop import Workshop
from tests.grading import toys
from tests.grading.hostile import DISRUPTIVE

ENGINE = Path(__file__).with_name("engine.py")


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def engine(sandboxed, tmp_path, monkeypatch):
    """The folder in which an engine called podman notes its calls. Its servers load what a toy needs."""
    monkeypatch.setattr(server, "PRELOADED", ("mechlib.grading.worker.cells",))
    checkout = ENGINE.parents[2]
    text = f'PYTHONPATH={checkout} exec {sys.executable} {ENGINE} {tmp_path / "engine"} "$@"'
    (tmp_path / "engine").mkdir()
    program(tmp_path / "bin", "podman", text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "engine"


def calls(folder):
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_a_class_is_graded_in_containers(engine, tmp_path, monkeypatch, capsys):
    handed = tmp_path / "handed in"
    handed.mkdir()
    cells = (*toys.HONEST[:3], DISRUPTIVE["os._exit"], toys.WRONG_ENDS, toys.CHECK_ENDS)
    (handed / "anna.ipynb").write_bytes(toys.notebook(*cells))
    monkeypatch.setattr(registry, "asked", lambda chapter: toys.TOYS)
    arguments = ["mechlib", "grade", handed, "--out", tmp_path / "grades", "--chapter", "ch02", "--engine", "podman"]
    monkeypatch.setattr("sys.argv", [*map(str, arguments), "--jobs", "1", "--quiet"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code, capsys.readouterr().err
    results = json.loads((tmp_path / "grades" / "students" / "anna" / "results.json").read_text())
    assert [test["score"] for test in results["tests"]] == [2, 0]
    assert "Cell 4 ended the process; the rest was graded without it." in results["output"]
    commands = [call[0] for call in calls(engine)]
    assert commands.count("import") == 1 and commands.count("run") == 3  # a trial, and a container for each run
    assert commands.count("rm") == 2 and set(commands) == {"image", "import", "run", "kill", "rm"}


def test_nothing_is_seen_in_a_container_that_is_not_to_be_seen(engine, tmp_path):
    containers.prepare("podman")
    (tmp_path / "secret").write_text("hush")
    look = f"[os.path.exists(path) for path in ({str(tmp_path)!r}, '/home', '/var', {str(ENGINE)!r})]"
    source = (
        "import os\nfrom mechlib.checks import registry\n"
        "interfaces = [line.split(':')[0].strip() for line in open('/proc/net/dev')][2:]\n"
        f"raise RuntimeError(repr([registry.chapters(), {look}, interfaces, os.getuid() == 0]))"
    )
    with Workshop(engine="podman") as shop:
        worker = shop.worker()
        worker.send({"cells": [[0, source]]}, seconds=20)
        assert worker.receive(seconds=20)[0] == {"cell": 0}
        seen = eval(worker.receive(seconds=20)[0]["message"])
        worker.end()
    assert seen == [(), [False] * 4, ["lo"], False]


def test_the_engine_is_asked_for_walls_and_limits():
    limits = Limits(memory=2**30, disk=2**20, processes=10)
    view = containers.View((Path("/usr"),), (Path("/usr/hidden"),), (Path("/usr/hidden/again"),), {"A": "b=c"})
    line = containers.command("docker", "name", view, limits, user=4321, control=Path("/x/control"))
    assert {"--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} < set(line)
    assert {"--user=4321:4321", "--pids-limit=18", "--cpus=1", f"--memory={2**31}", f"--memory-swap={2**31}"} < set(
        line
    )
    assert {"--pull=never", f"--shm-size={2**20}", "--env=A=b=c"} < set(line)
    mounts = [option.removeprefix("--mount=") for option in line if option.startswith("--mount=")]
    assert mounts == [
        "type=tmpfs,destination=/tmp,tmpfs-size=1048576,tmpfs-mode=1777",
        "type=bind,source=/usr,target=/usr,readonly",
        "type=tmpfs,destination=/usr/hidden,tmpfs-size=4096,tmpfs-mode=0755",
        "type=bind,source=/usr/hidden/again,target=/usr/hidden/again,readonly",
        "type=bind,source=/x/control,target=/control",
    ]
    assert line[-1] == containers.IMAGE and "keep-id" not in str(line)


def test_an_ordinary_user_stays_that_user(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    view = containers.View((), (), (), {})
    assert "--userns=keep-id" in containers.command("podman", "name", view, Limits())
    line = containers.command("docker", "name", view, Limits())
    assert "--user=1000:100" in line and "--userns=keep-id" not in line


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoSandbox, match=r"the program docker is not installed.*--engine podman.*change your files"):
        sandbox.require("docker")


def test_what_an_engine_says_is_repeated(tmp_path, monkeypatch):
    program(tmp_path / "bin", "docker", "echo 'Cannot connect to the Docker daemon.' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(NoSandbox, match=r"docker fails with 'Cannot connect to the Docker daemon\.'"):
        sandbox.require("docker")
    with Workshop(engine="docker") as shop, pytest.raises(OSError, match=r"docker starts no server\. Cannot"):
        shop.worker()


def test_an_engine_that_cannot_run_a_container_is_refused(tmp_path, monkeypatch):
    program(tmp_path / "bin", "podman", '[ "$1" = run ] && echo "no cgroups" >&2 && exit 125; exit 0')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(NoSandbox, match="podman fails with 'no cgroups'"):
        sandbox.require("podman")


def test_trusting_and_an_engine_exclude_one_another(tmp_path, monkeypatch, capsys):
    arguments = ["mechlib", "grade", tmp_path, "--out", "x", "--engine", "docker", "--trust-submissions"]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2 and "leave it out, or --engine docker" in capsys.readouterr().err
