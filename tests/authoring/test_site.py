"""The book is built with its lines shown as they come, and served at a free port."""

import socket
import sys
import urllib.request
from threading import Thread

import pytest

from mechlib.authoring import site


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_build_shows_every_line_and_returns_the_status(tmp_path, capsys):
    program = "import os, sys; print(os.getcwd()); print('trouble', file=sys.stderr); sys.exit(3)"
    assert site.build(tmp_path, commands=[[sys.executable, "-c", program]]) == 3
    assert sorted(capsys.readouterr().out.splitlines()) == sorted([str(tmp_path), "trouble"])


def test_build_is_heard_while_the_builder_is_silent(tmp_path, capsys):
    program = "import time; print('a', flush=True); time.sleep(1); print('b')"
    assert site.build(tmp_path, commands=[[sys.executable, "-c", program]], quiet_s=0.2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "still running" not in line] == ["a", "b"]
    assert lines.index("b") - lines.index("a") > 1


def test_build_ends_with_the_first_command_that_fails(tmp_path, capsys):
    say = [sys.executable, "-c", "print('said')"]
    assert site.build(tmp_path, commands=[say, [sys.executable, "-c", "raise SystemExit(2)"], say]) == 2
    assert capsys.readouterr().out == "said\n"


def test_the_chapters_are_executed_and_then_the_book_is_built_strictly(tmp_path, monkeypatch, capsys):
    echo = [sys.executable, "-c", "import sys; print(*sys.argv[1:])"]
    monkeypatch.setattr(site, "EXECUTE", [*echo, "chapters"])
    monkeypatch.setattr(site, "JUPYTER_BOOK", echo)
    assert site.build(tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == ["chapters", "build . -W -n --keep-going"]


def test_pages_are_served_with_the_types_that_browsers_want(tmp_path):
    (tmp_path / "index.html").write_text("<p>the book")
    (tmp_path / "widget.js").write_text("1")
    with site.server(tmp_path, 8000) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://localhost:{running.server_address[1]}"
        with urllib.request.urlopen(address) as page:
            assert page.read() == b"<p>the book"
        with urllib.request.urlopen(f"{address}/widget.js") as script:
            assert script.headers["Content-Type"] == "text/javascript"
        running.shutdown()


def test_a_port_in_use_is_said_and_the_next_free_one_is_taken(tmp_path, taken_port, monkeypatch, capsys):
    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(site.ThreadingHTTPServer, "serve_forever", interrupted)
    site.serve(tmp_path, taken_port)
    said, address, stopped = capsys.readouterr().out.split("\n", 2)
    used = int(said.removesuffix(" is taken instead.").split()[-1])
    assert said.startswith(f"Port {taken_port} is in use") and used > taken_port
    assert address.startswith(f"The book is at http://localhost:{used} ")
    assert stopped.strip() == "Stopped."


def test_no_port_free_is_an_error_with_the_reason(tmp_path, taken_port, monkeypatch):
    monkeypatch.setattr(site, "PORTS_TRIED", 1)
    with pytest.raises(OSError, match=f"{taken_port} to {taken_port} can be used: .*in use"):
        site.server(tmp_path, taken_port)
