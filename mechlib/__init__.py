"""The library of the book: models, text, lenses and checks, each floor built on those below it only.

From the bottom up: ``bridge`` and ``text``; ``zoo``; the reference implementations (``lens``, ...); what the reader
sees (``plots``, ``widgets``, ``claims``); ``checks`` and the ``questions`` that they ask; and the command line with the
tools of the authors.
"""

from importlib.metadata import version

__version__ = version("mechlib")
