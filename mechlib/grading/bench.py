"""Workshops that are kept open between notebooks, one for each that is graded at the same time."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator
from functools import cache

from mechlib.grading.sandbox import Engine
from mechlib.grading.worker.rooms import Limits
from mechlib.grading.workshop import Workshop

__all__ = ["Bench", "bench"]


class Bench:
    """Workshops that wait for the next notebook; as many as are used at the same time."""

    def __init__(self, limits: Limits, engine: Engine) -> None:
        self._limits, self._engine = limits, engine
        self._lock = threading.Lock()
        self._idle: list[Workshop] = []
        self._made = 0
        atexit.register(self.close)

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Workshop]:
        """A workshop that nobody else uses."""
        with self._lock:
            self._made += not self._idle
            shop = self._idle.pop() if self._idle else Workshop(self._limits, engine=self._engine, number=self._made)
        try:
            yield shop
        except BaseException:
            shop.close()
            raise
        finally:
            with self._lock:
                self._idle.append(shop)

    def close(self) -> None:
        """End every server."""
        while self._idle:
            self._idle.pop().close()


@cache
def bench(limits: Limits, engine: Engine) -> Bench:
    """The bench of this process."""
    return Bench(limits, engine)
