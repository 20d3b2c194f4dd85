"""Means with intervals, and the small tables that show them."""

from mechlib.stats.estimates import Estimate, by_unit, estimate, over_runs, share
from mechlib.stats.skewness import skewed_interval
from mechlib.stats.tables import Table, table

__all__ = ["Estimate", "Table", "by_unit", "estimate", "over_runs", "share", "skewed_interval", "table"]
