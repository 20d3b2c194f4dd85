"""What the reader can move: widgets that hold all their data, so that a static page needs no kernel."""

from mechlib.widgets.lens import LensExplorer, lens_explorer

__all__ = ["LensExplorer", "lens_explorer"]
