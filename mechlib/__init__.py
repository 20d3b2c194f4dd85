"""The library of the book: each room is built on those of lower floors only.

From the bottom up: ``files`` and ``training``; ``bridge``, ``text`` and ``english``, ``stats``, ``distances``,
``patterns``, ``places``, ``icl`` and ``llc``; the models of the ``zoo``; the residual ``stream``, and ``figures``;
``heads``, ``probes`` and ``causal`` edits; ``widgets``, ``claims`` and ``guesses``; ``checks`` and the ``questions``
that they ask; ``grading`` and the authors' tools; courses; the command line.
"""

from importlib.metadata import version

__version__ = version("mechlib")
