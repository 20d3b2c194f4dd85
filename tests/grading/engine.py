"""Stands for podman or docker: notes how it is called, and builds the container that it is asked for with bubblewrap.

Called as ``engine.py FOLDER run|image|import|kill|rm ...``. Like the engines it lets nobody make namespaces inside.
"""

import json
import os
import signal
import sys
from pathlib import Path

from mechlib.grading.sandbox import SYSTEM

INSIDE = """
import os, sys
from mechlib.grading.worker import syscalls
syscalls.forbid()
os.execv(sys.argv[1], sys.argv[1:])
"""


def main(folder: Path, command: str, *arguments: str) -> None:
    """Do what an engine would."""
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps([command, *arguments]) + "\n")
    image = folder / "image"
    if command == "image" and not image.exists():
        sys.exit("no such image")
    if command == "import":
        image.write_bytes(sys.stdin.buffer.read())
    if command == "kill":
        os.kill(int((folder / arguments[0]).read_text()), signal.SIGKILL)
    if command == "run":
        options = [argument for argument in arguments if argument.startswith("--")]
        name, program = arguments[arguments.index("--name") + 1], arguments[arguments.index("--rm") + 1 :]
        program = program[next(i for i, part in enumerate(program) if part.startswith("localhost/")) + 1 :]
        (folder / name).write_text(str(os.getpid()))
        line = walls(options, program[0])
        os.execvp(line[0], [*line, *program])


def walls(options: list[str], python: str) -> list[str]:
    """A command line of bubblewrap for the options of ``run``."""
    line = ["bwrap", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--clearenv", "--new-session"]
    line += ["--cap-add", "ALL"] if os.getuid() == 0 else ["--unshare-user"]
    for option in options:
        what, _, value = option.removeprefix("--").partition("=")
        if what == "env":
            line += ["--setenv", *value.split("=", 1)]
        if what == "mount":
            line += mount(dict((part + "=").split("=")[:2] for part in value.split(",")))
    (user,) = [option.partition("=")[2].split(":") for option in options if option.startswith("--user=")]
    line += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/tmp", "--remount-ro", "/"]
    if os.getuid() == 0:
        line += ["setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups", "--no-new-privs"]
    return [*line, python, "-c", INSIDE]


def mount(about: dict[str, str]) -> list[str]:
    """The arguments for one mount."""
    if about["type"] == "tmpfs":
        size = ["--perms", about["tmpfs-mode"], "--size", about["tmpfs-size"]]
        return [*size, "--tmpfs", about["destination"]]
    target = Path(about["target"])
    above = [part for folder in reversed(target.parents) for part in ("--perms", "0755", "--dir", str(folder))][4:]
    known = any(str(target).startswith(f"{system}/") for system in SYSTEM)
    return [*([] if known else above), "--ro-bind" if "readonly" in about else "--bind", about["source"], str(target)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
