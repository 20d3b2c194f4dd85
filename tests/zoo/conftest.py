"""What tests of the zoo share: a small text, an empty shop, a run that is killed."""

import pytest

from mechlib import text
from mechlib.training import Loop
from mechlib.training import loop as module
from mechlib.zoo import release, shelf


@pytest.fixture
def small_corpus(monkeypatch):
    """Twelve files to train on, and three held out."""
    documents = {"train": text.files("train")[:12], "held_out": text.files("held_out")[:3]}
    monkeypatch.setattr(text, "files", lambda split, tests=False: documents[split])


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """An empty place for models that ship, and none that is fetched."""
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(release, "SHIPPED", tmp_path / "shipped")
    return tmp_path


@pytest.fixture
def killed(monkeypatch):
    """``killed(step, call)``: ``call()``, stopped before that update, with the state saved every three."""
    monkeypatch.setattr(module, "SAVE_EVERY", 3)

    class Killed(BaseException):
        pass

    def run(step, call):
        def until(self, **options):
            for number in original(self, **options):
                yield number
                if number == step:
                    raise Killed

        original = Loop.run
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Loop, "run", until)
            call()

    return run
