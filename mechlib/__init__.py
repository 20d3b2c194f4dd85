"""The library of the book: each room is built on those of lower floors only.

From the bottom up: ``bridge``, ``text``, ``stats``, ``distances``, ``patterns``, ``places``, ``icl`` and ``llc``; the
models of the ``zoo``; the residual ``stream``; ``heads``, ``probes`` and ``causal`` edits; what the reader sees
(``figures``, ``widgets``, ``claims``); ``checks`` and the ``questions`` that they ask; ``grading`` and the authors'
tools; courses; the command line.
"""

from importlib.metadata import version

__version__ = version("mechlib")
