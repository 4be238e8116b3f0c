"""Measures of a split, on exact integer counts."""

from pixalign.metrics.confusion import Confusion, Counts, summary

__all__ = ["Confusion", "Counts", "summary"]
