"""The playground: rooms in which a model runs where it is shown, in a notebook and on a page without Python.

The forward pass is a few hundred lines of JavaScript (``engine.js``, ``language.js``, ``regressor.js``), which reads
the zoo's own files of weights. On a page they are fetched from beside it (``served.write``); in a notebook Python sends
them.
"""

from mechlib.widgets.playground.rooms import Loom, RegressionRoom, TextExplorer, TokenGame

__all__ = ["Loom", "RegressionRoom", "TextExplorer", "TokenGame"]
