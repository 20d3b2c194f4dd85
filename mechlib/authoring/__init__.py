"""What writes the book's generated parts: exercises, addresses, the ledger of claims, and the built pages.

Each part has ``write()``, which brings its files up to date, and ``stale()``, which says what is not. They work on a
checkout of the repository, not on an installed package.
"""
