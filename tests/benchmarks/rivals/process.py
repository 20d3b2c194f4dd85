"""A process of another environment that answers over pipes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tests.benchmarks.rivals import ROOT


class Answering:
    """A server: one line of JSON in, one line of JSON out."""

    def __init__(self, interpreter: str | Path, *module: str):
        environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        self.process = subprocess.Popen(
            [str(interpreter), "-m", *module],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, **request: object) -> dict:
        """The answer to a request.

        Raises:
            RuntimeError: if the process has ended.
        """
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()} on {request}")
        return json.loads(answer)


@contextmanager
def answering(interpreter: str | Path, *module: str) -> Iterator[Answering]:
    """A server, ended at the end."""
    server = Answering(interpreter, *module)
    try:
        yield server
    finally:
        server.process.stdin.close()
        server.process.wait(60)
